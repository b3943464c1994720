#!/usr/bin/env python3
"""Records tests/fixtures/parquet: small files in the forms that the reader of datasets/parquet.h knows, with their values.

Usage: record_parquet.py OUT_FOLDER
Made with pyarrow 26.0.1. expected.json holds, per file, the columns the reader must give: kind, and one entry per row
(whole numbers as text, so that 64 bits survive). two_level.parquet and repeated.parquet are written by hand, below, because
pyarrow writes neither form.
"""
import json
import pathlib
import struct
import sys

import pyarrow as pa
import pyarrow.parquet as pq

WORDS = ["apples", "candles", "", "Weihnachtsbaum – ältester", "选", "B. \"quoted\"\nsecond line", "d" * 40]


def rich_table(n):
    """Every kind, with nulls, empty and null lists, and null list items."""
    def word(i):
        return WORDS[i % len(WORDS)]

    def options(i):
        if i % 9 == 4:
            return None
        return [None if (i + j) % 7 == 6 else word(i + j) for j in range(i % 4)]

    return pa.table({
        "id": pa.array([f"{i // 3:03d}-{i % 3 + 1}" for i in range(n)]),
        "count": pa.array([None if i % 5 == 3 else (i - n // 2) * 2**52 + i for i in range(n)], pa.int64()),
        "small": pa.array([None if i % 4 == 1 else i - 3 for i in range(n)], pa.int32()),
        "unsigned": pa.array([4294967295 - i for i in range(n)], pa.uint32()),
        "score": pa.array([None if i % 6 == 2 else i / 7 for i in range(n)], pa.float64()),
        "ratio": pa.array([None if i % 6 == 5 else i / 8 for i in range(n)], pa.float32()),
        "flag": pa.array([None if i % 7 == 0 else i % 3 == 0 for i in range(n)], pa.bool_()),
        "word": pa.array([None if i % 8 == 6 else word(i) for i in range(n)]),
        "options": pa.array([options(i) for i in range(n)], pa.list_(pa.string())),
        "numbers": pa.array([None if i % 5 == 0 else list(range(-1, i % 3)) for i in range(n)], pa.list_(pa.int64())),
        "nothing": pa.array([None] * n, pa.string()),
    })


def required_table():
    fields = [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("flag", pa.bool_(), nullable=False),
        pa.field("options", pa.list_(pa.field("element", pa.string(), nullable=False)), nullable=False),
    ]
    rows = [[], ["a"], ["b", "c"], []]
    return pa.table([[1, 2, 3, 4], [True, False, False, True], rows], schema=pa.schema(fields))


def strange_table():
    """Columns that the reader passes over, between two that it reads."""
    return pa.table({
        "first": pa.array(["x", "y"]),
        "point": pa.array([{"a": 1, "b": "u"}, None], pa.struct([("a", pa.int64()), ("b", pa.string())])),
        "deep": pa.array([[["p"], []], None], pa.list_(pa.list_(pa.string()))),
        "pairs": pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int64())),
        "money": pa.array([1, 2], pa.decimal128(5, 2)),
        "big": pa.array([2**64 - 1, 0], pa.uint64()),
        "fixed": pa.array([b"ab", b"cd"], pa.binary(2)),
        "structs": pa.array([[{"a": 1}], None], pa.list_(pa.struct([("a", pa.int64())]))),
        "last": pa.array([7, None], pa.int64()),
    })


def long_table(n):
    """More entries than fit one byte of dictionary index, long runs, and several pages per column."""
    return pa.table({
        "id": pa.array([f"{i:05d}" for i in range(n)]),
        "run": pa.array([None if i < 200 else "same" for i in range(n)]),
        "options": pa.array([[f"{j}" for j in range(i % 6)] for i in range(n)], pa.list_(pa.string())),
        "flag": pa.array([i % 50 < 25 for i in range(n)], pa.bool_()),
    })


KINDS = {"string": "bytes", "int64": "int", "int32": "int", "uint32": "int", "double": "real", "float": "real", "bool": "bool"}


def expected_of(table, skipped=()):
    def scalar(value):
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    columns = []
    for name, column in zip(table.column_names, table.columns):
        if name in skipped:
            continue
        is_list = pa.types.is_list(column.type)
        kind = KINDS[str(column.type.value_type if is_list else column.type)]
        rows = column.to_pylist()
        values = [[scalar(v) for v in row or []] for row in rows] if is_list else [scalar(v) for v in rows]
        columns.append({"name": name, "kind": kind, "list": is_list, "rows": values})
    return {"rows": table.num_rows, "columns": columns}


# ---- files by hand: thrift's compact protocol, as much of it as they need ---------------------------------------------------

class I64(int):
    """A number that thrift's declaration has as i64."""


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def thrift(*fields):
    """A struct from (id, value): int -> i32, I64 -> i64, str -> binary, list -> list of structs or strings, bytes -> struct."""
    out, last = b"", 0
    for number, value in fields:
        kind = {int: 5, I64: 6, str: 8, list: 9, bytes: 12}[type(value)]
        out += bytes([(number - last) << 4 | kind])
        last = number
        out += thrift_value(value)
    return out + b"\0"


def thrift_value(value):
    if isinstance(value, int):
        return varint(value << 1)
    if isinstance(value, str):
        return varint(len(value.encode())) + value.encode()
    if isinstance(value, list):
        kind = {int: 5, str: 8, bytes: 12}[type(value[0])]
        return bytes([len(value) << 4 | kind]) + b"".join(thrift_value(v) for v in value)
    return value


def texts(*items):
    return b"".join(struct.pack("<I", len(item)) + item for item in items)


def levels(width, *values):
    """Runs of one number each, with their length in front."""
    runs = b"".join(varint(1 << 1) + bytes([v]) * ((width + 7) // 8) for v in values)
    return struct.pack("<I", len(runs)) + runs


def hand_file(path, schema, column_path, n_rows, n_values, body):
    page = thrift((1, 0), (2, len(body)), (3, len(body)), (5, thrift((1, n_values), (2, 0), (3, 3), (4, 3)))) + body
    size = I64(len(page))
    meta = thrift((1, 6), (2, [0, 3]), (3, column_path), (4, 0), (5, I64(n_values)), (6, size), (7, size), (9, I64(4)))
    group = thrift((1, [thrift((2, I64(4)), (3, meta))]), (2, size), (3, I64(n_rows)))
    footer = thrift((1, 1), (2, schema), (3, I64(n_rows)), (4, [group]))
    path.write_bytes(b"PAR1" + page + footer + struct.pack("<I", len(footer)) + b"PAR1")


def write_old_lists(out):
    """Rows [x, yy], null or [], [z]: an optional group with a repeated item, and a repeated item alone."""
    group = [thrift((4, "schema"), (5, 1)), thrift((3, 1), (4, "options"), (5, 1), (6, 3)), thrift((1, 6), (3, 2), (4, "array"))]
    body = levels(1, 0, 1, 0, 0) + levels(2, 2, 2, 0, 2) + texts(b"x", b"yy", b"z")
    hand_file(out / "two_level.parquet", group, ["options", "array"], 3, 4, body)
    alone = [thrift((4, "schema"), (5, 1)), thrift((1, 6), (3, 2), (4, "options"))]
    body = levels(1, 0, 1, 0, 0) + levels(1, 1, 1, 0, 1) + texts(b"x", b"yy", b"z")
    hand_file(out / "repeated.parquet", alone, ["options"], 3, 4, body)
    hand_file(out / "refused_values.parquet", alone, ["options"], 3, 2**40, body)
    hand_file(out / "refused_rows.parquet", alone, ["options"], 10_000_001, 10_000_001, body)
    rows = [["x", "yy"], [], ["z"]]
    return {"rows": 3, "columns": [{"name": "options", "kind": "bytes", "list": True, "rows": rows}]}


def main():
    out = pathlib.Path(sys.argv[1])
    rich, required, strange, long = rich_table(40), required_table(), strange_table(), long_table(700)
    expected = {}

    def record(name, table, skipped=(), **options):
        pq.write_table(table, out / f"{name}.parquet", store_schema=False, write_statistics=False, **options)
        expected[name] = expected_of(table, skipped)

    record("plain_v1", rich, compression="none", use_dictionary=False, data_page_version="1.0", version="2.6")
    record("snappy_dictionary_v1", rich, compression="snappy", row_group_size=15, version="2.6")
    record("gzip_dictionary_v2", rich, compression="gzip", data_page_version="2.0", version="2.6", row_group_size=25)
    record("zstd_plain_v2", rich, compression="zstd", data_page_version="2.0", use_dictionary=False, version="2.6")
    record("checksums", rich.select(["id", "options"]), compression="snappy", write_page_checksum=True)
    record("required", required, compression="none")
    record("empty", rich.slice(0, 0), compression="snappy")
    record("strange", strange, compression="snappy", version="2.6",
           skipped=("point", "deep", "pairs", "money", "big", "fixed", "structs"))
    record("long_v1", long, compression="zstd", data_page_size=400, write_batch_size=50, row_group_size=500)
    record("long_v2", long, compression="snappy", data_page_size=400, write_batch_size=50, row_group_size=500, data_page_version="2.0")
    expected["two_level"] = expected["repeated"] = write_old_lists(out)

    # What the reader refuses by name.
    pq.write_table(required, out / "refused_codec.parquet", compression="brotli", store_schema=False)
    pq.write_table(required, out / "refused_encoding.parquet", use_dictionary=False, column_encoding={"id": "DELTA_BINARY_PACKED"},
                   store_schema=False)
    text = json.dumps(expected, ensure_ascii=False, separators=(",", ":"))
    (out / "expected.json").write_text(text.replace('{"name"', '\n{"name"') + "\n")


if __name__ == "__main__":
    main()
