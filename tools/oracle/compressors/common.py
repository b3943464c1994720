"""What the scripts of this folder share: the program's counter-based random numbers, so that a fixture need not hold its inputs,
and how fixtures are written."""
import ast
import importlib.util
import json
import math
import pathlib
import platform
import subprocess
import sys
import textwrap

import numpy

MASK = numpy.uint64(0xFFFFFFFFFFFFFFFF)


def _mix(z):
    z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    return z ^ (z >> numpy.uint64(31))


def rng_stream(name):
    """core/rng.h rng_stream: FNV-1a."""
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


def rng_unit(seed, stream, index):
    """core/rng.h rng_unit, over an array of indices."""
    with numpy.errstate(over="ignore"):
        key = _mix(_mix(numpy.array(seed, dtype=numpy.uint64) + numpy.uint64(0x9E3779B97F4A7C15)) ^ numpy.uint64(stream))
        bits = _mix(key + numpy.asarray(index, dtype=numpy.uint64) * numpy.uint64(0x9E3779B97F4A7C15))
    return (bits >> numpy.uint64(11)).astype(numpy.float64) * 2.0**-53


def features(seed, purpose, n, width):
    """The f32 rows that oracle_features() of tests/unit/compressors/oracle.h makes: neighbours alike, all around one direction, as
    features of a vision tower are."""
    noise = rng_unit(seed, rng_stream(purpose), numpy.arange(n * width)).reshape(n, width) - 0.5
    place = rng_unit(seed, rng_stream(purpose) ^ 1, numpy.arange(width)) - 0.5
    mix = rng_unit(seed, rng_stream(purpose) ^ 2, numpy.arange(n))
    rows = numpy.zeros((n, width), dtype=numpy.float32)
    for i in range(n):
        last = rows[i - 1].astype(numpy.float64) if i else numpy.zeros(width)
        rows[i] = (mix[i] * last + (1 - mix[i]) * (noise[i] + 0.5 * place)).astype(numpy.float32)
    return rows


def _units(seed, purpose, which, *shape):
    return rng_unit(seed, rng_stream(purpose) ^ which, numpy.arange(math.prod(shape))).reshape(shape)


def scenes(seed, purpose, T, N, width):
    """The f32 rows [T][N][width] that oracle_scenes() makes: scenes of three frames, cells of six kinds, of which most stand still."""
    n = (T + 2) // 3
    kinds = _units(seed, purpose, 3, 6, width) - 0.5
    kind = (_units(seed, purpose, 4, n, N) * 6).astype(int)
    still = kinds[kind] + 0.4 * (_units(seed, purpose, 5, n, N, width) - 0.5)
    moves = numpy.where(_units(seed, purpose, 6, n, N) < 0.6, 0.05, 0.9)
    scene = numpy.arange(T) // 3
    return (still[scene] + moves[scene][..., None] * (_units(seed, purpose, 7, T, N, width) - 0.5)).astype(numpy.float32)


def saliency(seed, purpose, n):
    """The f32 numbers that oracle_saliency() makes: positive, few of them large."""
    unit = _units(seed, purpose, 8, n)
    cube = unit * unit * unit
    return (0.001 + cube * cube).astype(numpy.float32)


def released(path, names, space, edit=lambda text: text):
    """Functions and methods of a released file by name, compiled alone, so that nothing that it imports is needed. A method takes its
    `self` from whoever calls it. `edit` changes the text first, where a number of another model is written into it."""
    tree = ast.parse(edit(pathlib.Path(path).read_text()))
    wanted = {node.name: node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name in names}
    missing = set(names) - set(wanted)
    if missing:
        raise SystemExit(f"{path} has no {missing}")
    for node in wanted.values():
        node.decorator_list = []
        exec(compile(ast.Module([node], []), str(path), "exec"), space)
    return space


def released_block(path, begin, end, edit=lambda text: text):
    """Code in the middle of a released function, from the line that holds `begin` to before the next one that holds `end`."""
    lines = edit(pathlib.Path(path).read_text()).splitlines()
    first = next(i for i, line in enumerate(lines) if begin in line)
    last = next(i for i, line in enumerate(lines) if i > first and end in line)
    return compile(textwrap.dedent("\n".join(lines[first:last])), str(path), "exec")


class Torch:
    """torch with noise that can be repeated, distances that are not taken from products, and the first of equal numbers on top."""

    def __getattr__(self, name):
        import torch
        return getattr(torch, name)

    def rand(self, *shape, **_):
        import torch
        return torch.from_numpy(noise(*(shape if isinstance(shape[0], int) else shape[0])))

    def rand_like(self, like, **_):
        return self.rand(*like.shape)

    def topk(self, values, k, dim=-1, largest=True):
        import torch
        found = torch.sort(values, dim=dim, descending=largest, stable=True)
        return torch.return_types.topk((found.values.narrow(dim, 0, k), found.indices.narrow(dim, 0, k)))

    def cdist(self, a, b):
        import torch
        return torch.cdist(a.double(), b.double(), compute_mode="donot_use_mm_for_euclid_dist").float()


TRACE = 1e-6


def traced(rows):
    """The rows [n][width] in f64 with a column for each of them behind, so small that nothing is decided by it, where a sum of rows
    shows its weights (see `weights_of`). Distances divided by the root of the width are what they were."""
    import torch
    n, width = rows.shape
    return torch.cat([torch.from_numpy(rows).double() * ((width + n) / width) ** 0.5, TRACE * torch.eye(n).double()], dim=1)


def weights_of(summed, n):
    """[tokens][n] from sums of traced rows."""
    return summed[..., -n:].double() / TRACE


def noise(*shape):
    """What stands for torch.rand in density peaks: rng_unit of each row's number, the same in every batch."""
    return rng_unit(0, rng_stream("density peaks"), numpy.arange(shape[-1])).astype(numpy.float32) * numpy.ones(shape, dtype=numpy.float32)


def plan(method, options, video, rows, order=None):
    """A case: which sources each token sums and by which weights, from rows[tokens][sources]. `order` sorts the tokens by a key each."""
    rows = numpy.asarray(rows, dtype=numpy.float64)
    starts, sources, weights = [], [], []
    for i in range(len(rows)) if order is None else sorted(range(len(rows)), key=lambda i: order[i]):
        taken = numpy.flatnonzero(numpy.abs(rows[i]) > 1e-7)
        starts.append(len(sources))
        sources += taken.tolist()
        weights += [float(f"{value:.7g}") for value in rows[i][taken]]
    return {"method": method, "options": json.dumps(options), **video, "starts": starts, "sources": sources, "weights": weights}


def upstream_module(checkout, path, name, stubs=()):
    """A module of a checkout of the released code, by its path, without installing the rest of it. `stubs` are modules that it
    imports and that what is asked of it never uses."""
    for absent in stubs:
        sys.modules.setdefault(absent, type(sys)(absent))
    sys.path.insert(0, str(checkout))
    spec = importlib.util.spec_from_file_location(name, pathlib.Path(checkout) / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def revision(checkout):
    return subprocess.run(["git", "-C", str(checkout), "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()


def _plain(value):
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float):
        if not math.isfinite(value):
            raise SystemExit("a fixture holds finite numbers only")
        return float(f"{value:.8g}")
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def write_fixture(path, source, cases):
    """{"source": ..., "versions": ..., "cases": {name: {key: numbers or text}}}, one line per member of a case."""
    import torch
    lines = []
    for name, case in cases.items():
        members = ",\n".join(f"   {json.dumps(key)}: {json.dumps(_plain(value), separators=(',', ':'))}" for key, value in case.items())
        lines.append(f"  {json.dumps(name)}: {{\n{members}}}")
    versions = {"python": platform.python_version(), "numpy": numpy.__version__, "torch": torch.__version__}
    text = ",\n".join(lines)
    pathlib.Path(path).write_text(f'{{"source": {json.dumps(source)},\n "versions": {json.dumps(versions)},\n "cases": {{\n{text}}}}}\n')
