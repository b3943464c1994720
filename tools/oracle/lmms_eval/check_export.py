#!/usr/bin/env python3
"""Feeds exported samples through a released lmms-eval's own aggregation and prints what it makes of them.

Usage: check_export.py RELEASE_FOLDER STAMP_samples_TASK.jsonl ...
Prints one line per file: task, metric, value. Where STAMP_results.json lies beside a file the values are compared; exit status 1 when one
differs by more than 1e-9 (MLVU's mean is over a set, whose order varies).
"""
import inspect
import json
import pathlib
import sys
import tempfile

import record_logs
import upstream


def aggregated(release, name, path):
    """{metric: value} of one samples file."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    task = release.task(name, "llava_vid", record_logs.rows_of(name)[:1])
    found = {}
    for metric, aggregation in task.aggregation().items():
        more = {"args": None} if "args" in inspect.signature(aggregation).parameters else {}
        found[metric] = aggregation([line[metric] for line in sorted(lines, key=lambda line: line["doc_id"])], **more)
    return found


def main():
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    differs = False
    with tempfile.TemporaryDirectory(prefix="lmms-home") as home:
        release = upstream.Upstream(sys.argv[1], home)
        for path in map(pathlib.Path, sys.argv[2:]):
            stamp, name = path.stem.split("_samples_", 1)
            beside = path.with_name(stamp + "_results.json")
            results = json.loads(beside.read_text(encoding="utf-8"))["results"] if beside.exists() else {}
            for metric, value in aggregated(release, name, path).items():
                wanted = results.get(name, {}).get(metric + ",none")
                wrong = wanted is not None and abs(wanted - value) > 1e-9
                differs |= wrong
                print(name, metric, value, "but %s says %s" % (beside.name, wanted) if wrong else "")
    return differs


if __name__ == "__main__":
    sys.exit(main())
