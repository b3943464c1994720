"""One layer of the vision tower, or of the language model, by these kernels and by PyTorch, in one process and turn by turn.

    OMP_NUM_THREADS=1 python tests/bench/peer_torch.py tower [--repeats 8] [--compile]
    OMP_NUM_THREADS=1 python tests/bench/peer_torch.py language --rows 2048

Shapes: SigLIP so400m, 729 patches, and Qwen2-0.5B, causal. Weights are random and the same for all; what PyTorch's f32 computes is what
the others are first held against. PyTorch runs the same layer: norms, biases, rotation, scaled_dot_product_attention, residuals.

What would make this unfair, and is kept out: each side has one thread, timed by its own processor clock, so that neither waiting nor a
neighbour's work counts; all take turns, with bursts of multiply-adds between them that find the peak; the least of the repeats is
compared, the first turn being left out; weights are converted and packed beforehand on both sides. On a processor without bf16 dot
products PyTorch is best in f32: compare with that.
"""

import argparse
import ctypes
import pathlib
import subprocess
import tempfile
import time

import numpy as np
import torch
import torch.nn.functional as F

ROOT = pathlib.Path(__file__).resolve().parents[2]
F32, BF16, INT8 = 0, 1, 3  # enum dtype
NONE, GELU_TANH, ADD, SWIGLU = 0, 1, 3, 4  # enum epilogue
PANELS = 0  # enum layout
CHUNK = 768  # engine/language.c
SIZE, POINTER = ctypes.c_size_t, ctypes.c_void_p


class Matrix(ctypes.Structure):
    _fields_ = [("dtype", ctypes.c_int), ("n_out", SIZE), ("n_in", SIZE), ("panels", POINTER), ("bias", POINTER),
                ("layout", ctypes.c_int)]


class Gemm(ctypes.Structure):
    _fields_ = [("n", SIZE), ("x", POINTER), ("ldx", SIZE), ("w", ctypes.POINTER(Matrix)), ("epilogue", ctypes.c_int), ("y", POINTER),
                ("ldy", SIZE), ("out_dtype", ctypes.c_int), ("scales", POINTER), ("scratch", POINTER)]


class Kv(ctypes.Structure):
    _fields_ = [("dtype", ctypes.c_int), ("kv_heads", ctypes.c_int), ("head_dim", ctypes.c_int), ("capacity", SIZE), ("keys", POINTER),
                ("values", POINTER), ("layout", ctypes.c_int), ("sequences", ctypes.c_int)]


class Attention(ctypes.Structure):
    _fields_ = [("n", SIZE), ("first", SIZE), ("n_keys", SIZE), ("causal", ctypes.c_bool), ("heads", ctypes.c_int),
                ("scale", ctypes.c_float), ("kv", ctypes.POINTER(Kv)), ("q", POINTER), ("ldq", SIZE), ("out", POINTER), ("ldo", SIZE),
                ("scratch", POINTER), ("bias", POINTER)]


SLOTS = {  # of struct kernels, in its order, as far as they are called here
    "name": None,
    "memory": None,
    "layout": None,
    "pack": None,
    "gemm": [ctypes.POINTER(Gemm), ctypes.c_int],
    "attention": [ctypes.POINTER(Attention), ctypes.c_int],
    "attention_weights": None,
    "kv_write": [ctypes.POINTER(Kv), SIZE, SIZE, POINTER, POINTER, SIZE, ctypes.c_int],
    "layernorm": [SIZE, SIZE, POINTER, SIZE, POINTER, POINTER, ctypes.c_float, POINTER, SIZE, ctypes.c_int, ctypes.c_int],
    "rmsnorm": [SIZE, SIZE, POINTER, SIZE, POINTER, ctypes.c_float, POINTER, SIZE, ctypes.c_int, ctypes.c_int],
    "rope": [SIZE, ctypes.c_int, ctypes.c_int, POINTER, SIZE, POINTER, POINTER, SIZE, ctypes.c_int],
    "quantise": [SIZE, SIZE, POINTER, SIZE, ctypes.c_int, POINTER, SIZE, POINTER, ctypes.c_int],
    "convert": [SIZE, SIZE, POINTER, SIZE, POINTER, SIZE, ctypes.c_int, ctypes.c_int],
}


def build(folder):
    """The table "avx512" as a shared object."""
    kernels, out = ROOT / "engine/kernels", pathlib.Path(folder) / "kernels.so"
    flags = "-O3 -fPIC -shared -fopenmp -std=gnu17 -ffp-contract=off -mavx2 -mfma -mavx512f -mavx512bw -mavx512dq -mavx512vl".split()
    sources = [kernels / "cpu/avx512.c", kernels / "cpu/parallel.c", kernels / "layout.c", *kernels.glob("ref/*.c"),
               *(ROOT / "core" / name for name in ("dtype.c", "tokens.c", "similarity.c", "digest.c", "err.c", "arena.c"))]
    subprocess.run(["cc", *flags, "-mprefer-vector-width=512", f"-I{ROOT}", *map(str, sources), "-o", str(out), "-lm", "-lcrypto"],
                   check=True)
    return ctypes.CDLL(str(out))


class Kernels:
    """The table's slots, called with one thread; buffers live as long as this does."""

    def __init__(self, library):
        self.kernels, self.kept = library, []
        table = (POINTER * len(SLOTS)).in_dll(library, "kernels_avx512")
        for address, (name, arguments) in zip(table, SLOTS.items()):
            if arguments:
                setattr(self, name, ctypes.CFUNCTYPE(None, *arguments)(address))
        for name in ("matrix_bytes", "kv_key_bytes", "kv_value_bytes"):
            getattr(library, name).restype = SIZE
        library.matrix_bytes.argtypes = [SIZE, SIZE, ctypes.c_int, ctypes.c_int]
        library.matrix_pack_rows.argtypes = [ctypes.POINTER(Matrix), SIZE, SIZE, POINTER, ctypes.c_int]
        library.kernels_spin_avx512.restype, library.kernels_spin_avx512.argtypes = ctypes.c_double, [ctypes.c_int, SIZE]
        self.narrow, self.scales = self.room(CHUNK * 8192), self.room(CHUNK * 8)

    def room(self, size):
        memory = np.zeros(size + 64, np.uint8)
        self.kept.append(memory)
        return memory.ctypes.data + -memory.ctypes.data % 64

    def values(self, tensor):
        self.kept.append(tensor.contiguous())
        return self.kept[-1].data_ptr()

    def matrix(self, weight, bias, dtype):
        n_out, n_in = weight.shape
        matrix = Matrix(dtype, n_out, n_in, self.room(self.kernels.matrix_bytes(n_out, n_in, dtype, PANELS)), None, PANELS)
        self.kernels.matrix_pack_rows(ctypes.byref(matrix), 0, n_out, self.values(weight), F32)
        if bias is not None:
            matrix.bias = self.values(F.pad(bias, (0, -n_out % 64)))
        return matrix

    def cache(self, dtype, kv_heads, head_dim, n):
        kv = Kv(dtype, kv_heads, head_dim, (n + 63) // 64 * 64, None, None, PANELS)
        kv.keys = self.room(self.kernels.kv_key_bytes(ctypes.byref(kv)))
        kv.values = self.room(self.kernels.kv_value_bytes(ctypes.byref(kv)))
        return kv

    def linear(self, n, x, matrix, epilogue, y, out_dtype):
        ldx, scales = matrix.n_in, None
        if matrix.dtype == INT8:
            ldx, scales = (matrix.n_in + 3) // 4 * 4, self.scales
            self.quantise(n, matrix.n_in, x, matrix.n_in, BF16, self.narrow, ldx, scales, 1)
            x = self.narrow
        ldy = matrix.n_out // 2 if epilogue == SWIGLU else matrix.n_out
        self.gemm(ctypes.byref(Gemm(n, x, ldx, ctypes.pointer(matrix), epilogue, y, ldy, out_dtype, scales, None)), 1)

    def rows(self, x, n, d):
        return torch.from_numpy(np.ctypeslib.as_array((ctypes.c_float * (n * d)).from_address(x)).reshape(n, d).copy())


def tower(k, weights, n, weight_dtype):
    """As run_layer of engine/vision.c."""
    d, ff, heads = 1152, 4304, 16
    act = BF16 if weight_dtype == INT8 else weight_dtype
    w = {name: k.matrix(*pair, weight_dtype) for name, pair in weights.items()}
    kv, one, zero, scratch = k.cache(act, heads, d // heads, n), k.values(torch.ones(d)), k.values(torch.zeros(d)), k.room(8 << 20)
    x, h, q, o, pairs, wide = (k.room(n * width * 4) for width in (d, d, d, d, 2 * d, ff))

    def run(start):
        ctypes.memmove(x, start.data_ptr(), n * d * 4)
        k.layernorm(n, d, x, d, one, zero, 1e-6, h, d, act, 1)
        k.linear(n, h, w["q"], NONE, q, act)
        k.linear(n, h, w["kv"], NONE, pairs, F32)
        k.kv_write(ctypes.byref(kv), 0, n, pairs, pairs + 4 * d, 2 * d, 1)
        k.attention(ctypes.byref(Attention(n, 0, n, False, heads, (d // heads) ** -0.5, ctypes.pointer(kv), q, d, o, d, scratch, None)), 1)
        k.linear(n, o, w["out"], ADD, x, F32)
        k.layernorm(n, d, x, d, one, zero, 1e-6, h, d, act, 1)
        k.linear(n, h, w["fc1"], GELU_TANH, wide, act)
        k.linear(n, wide, w["fc2"], ADD, x, F32)
        return x

    return run


def language(k, weights, n, weight_dtype):
    """As language_prefill of engine/language.c."""
    d, ff, heads, kv_heads, hd = 896, 4864, 14, 2, 64
    q_width, kv_width, act = heads * hd, kv_heads * hd, BF16 if weight_dtype == INT8 else weight_dtype
    ld = q_width + 2 * kv_width
    w = {name: k.matrix(*pair, weight_dtype) for name, pair in {**weights, "gate_up": (swiglu_rows(weights["gate_up"][0]), None)}.items()}
    kv, one, scratch = k.cache(act, kv_heads, hd, n), k.values(torch.ones(d)), k.room(8 << 20)
    cosines, sines = k.values(angles(n).cos()), k.values(angles(n).sin())
    x, h, qkv, q, o, wide = (k.room(rows * width * 4) for rows, width in
                             ((n, d), (CHUNK, d), (CHUNK, ld), (CHUNK, q_width), (CHUNK, q_width), (CHUNK, ff)))

    def run(start):
        ctypes.memmove(x, start.data_ptr(), n * d * 4)
        for first in range(0, n, CHUNK):
            m, at = min(CHUNK, n - first), x + first * d * 4
            k.rmsnorm(m, d, at, d, one, 1e-6, h, d, act, 1)
            k.linear(m, h, w["qkv"], NONE, qkv, F32)
            k.rope(m, heads + kv_heads, hd, qkv, ld, cosines, sines, first, 1)
            k.kv_write(ctypes.byref(kv), first, m, qkv + 4 * q_width, qkv + 4 * (q_width + kv_width), ld, 1)
            k.convert(m, q_width, qkv, ld, q, q_width, act, 1)
            k.attention(ctypes.byref(Attention(m, first, first + m, True, heads, hd ** -0.5, ctypes.pointer(kv), q, q_width, o, q_width,
                                               scratch, None)), 1)
            k.linear(m, o, w["out"], ADD, at, F32)
            k.rmsnorm(m, d, at, d, one, 1e-6, h, d, act, 1)
            k.linear(m, h, w["gate_up"], SWIGLU, wide, act)
            k.linear(m, wide, w["down"], ADD, at, F32)
        return x

    return run


def swiglu_rows(weight):
    """gates above ups -> as swiglu_gate_row of engine/kernels/kernels.h places them; 4864 is a multiple of 32."""
    n = weight.shape[0] // 2
    at = torch.arange(n) // 32 * 64 + torch.arange(n) % 32
    out = torch.empty_like(weight)
    out[at], out[at + 32] = weight[:n], weight[n:]
    return out


def angles(n):
    return torch.outer(torch.arange(n).float(), 1e6 ** (-torch.arange(0, 64, 2).float() / 64))


class Layer(torch.nn.Module):
    def __init__(self, weights, dtype):
        super().__init__()
        self.dtype = dtype
        self.weights = torch.nn.ParameterDict({f"{name}_{part}": torch.nn.Parameter(value.to(dtype)) for name, pair in weights.items()
                                               for part, value in zip("wb", pair) if value is not None})

    def linear(self, x, name):
        return F.linear(x, self.weights[name + "_w"], self.weights[name + "_b"] if name + "_b" in self.weights else None)


class TorchTower(Layer):
    def __init__(self, weights, dtype, n):
        qkv = tuple(torch.cat([weights["q"][i], weights["kv"][i]]) for i in range(2))
        super().__init__({"qkv": qkv, **{name: weights[name] for name in ("out", "fc1", "fc2")}}, dtype)

    def forward(self, x):
        h = F.layer_norm(x, x.shape[1:], eps=1e-6).to(self.dtype)
        q, k, v = self.linear(h, "qkv").view(1, -1, 3, 16, 72).permute(2, 0, 3, 1, 4)
        x = x + self.linear(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape), "out")
        h = F.layer_norm(x, x.shape[1:], eps=1e-6).to(self.dtype)
        return x + self.linear(F.gelu(self.linear(h, "fc1"), approximate="tanh"), "fc2")


class TorchLanguage(Layer):
    def __init__(self, weights, dtype, n):
        super().__init__(weights, dtype)
        both = torch.cat([angles(n), angles(n)], 1)
        self.cosines, self.sines = both.cos().to(dtype), both.sin().to(dtype)

    def rotate(self, v):
        low, high = v.chunk(2, -1)
        return v * self.cosines + torch.cat([-high, low], -1) * self.sines

    def forward(self, x):
        n = x.shape[0]
        h = F.rms_norm(x, x.shape[1:], eps=1e-6).to(self.dtype)
        q, k, v = (part.view(1, n, -1, 64).transpose(1, 2) for part in self.linear(h, "qkv").split([896, 128, 128], 1))
        o = F.scaled_dot_product_attention(self.rotate(q), self.rotate(k), v, is_causal=True, enable_gqa=True)
        x = x + self.linear(o.transpose(1, 2).reshape(x.shape), "out")
        gate, up = self.linear(F.rms_norm(x, x.shape[1:], eps=1e-6).to(self.dtype), "gate_up").chunk(2, 1)
        return x + self.linear(F.silu(gate) * up, "down")


def random_weights(shapes):
    return {name: (torch.randn(n_out, n_in) / n_in ** 0.5, torch.randn(n_out) * 0.02 if bias else None)
            for name, (n_out, n_in, bias) in shapes.items()}


def timed(call, *arguments):
    start = time.thread_time()
    result = call(*arguments)
    return time.thread_time() - start, result


def measure(k, runs, x, flop, repeats):
    best, peak = dict.fromkeys(runs, float("inf")), 0
    for turn in range(repeats + 1):
        for name, run in runs.items():
            seconds, operations = timed(k.kernels.kernels_spin_avx512, F32, 20000)
            peak = max(peak, operations / seconds)
            seconds, _ = timed(run, x)
            best[name] = min(best[name], seconds) if turn else best[name]
    print(f"multiply-add peak {peak / 1e9:.0f} GFLOP/s, PyTorch {torch.__version__}")
    for name, seconds in best.items():
        print(f"{name:22} {1e3 * seconds:8.1f} ms, {100 * flop / seconds / peak:4.0f} % of the peak, "
              f"{seconds / best['bf16']:.2f} times as long as bf16")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("layer", choices=("tower", "language"))
    parser.add_argument("--rows", type=int, default=2048, help="of the language model")
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--compile", action="store_true", help="PyTorch's layers by torch.compile as well")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    torch.set_grad_enabled(False)
    if given.layer == "tower":
        n, d, ours, theirs = 729, 1152, tower, TorchTower
        weights = random_weights({"q": (d, d, True), "kv": (2 * d, d, True), "out": (d, d, True), "fc1": (4304, d, True),
                                  "fc2": (d, 4304, True)})
        flop = 2 * n * d * (4 * d + 2 * 4304) + 4 * n * n * d
    else:
        n, d, ours, theirs = given.rows, 896, language, TorchLanguage
        weights = random_weights({"qkv": (1152, d, True), "out": (d, d, False), "gate_up": (9728, d, False), "down": (d, 4864, False)})
        flop = 2 * n * d * (1152 + d + 3 * 4864) + 2 * n * (n + 1) * d
    x = torch.randn(n, d)
    with tempfile.TemporaryDirectory() as folder:
        k = Kernels(build(folder))
        runs = {name: ours(k, weights, n, dtype) for name, dtype in (("bf16", BF16), ("f32", F32), ("int8", INT8))}
        layers = {"PyTorch f32": theirs(weights, torch.float32, n), "PyTorch bf16": theirs(weights, torch.bfloat16, n)}
        truth = layers["PyTorch f32"](x)
        for name, run in runs.items():
            off = (k.rows(run(x), n, d) - truth).norm() / (truth - x).norm()
            print(f"{name} is off by {100 * off:.3f} % of what the layer adds")
        compiled = {name + " compiled": torch.compile(layer) for name, layer in layers.items()} if given.compile else {}
        measure(k, {**runs, **layers, **compiled}, x, flop, given.repeats)


if __name__ == "__main__":
    main()
