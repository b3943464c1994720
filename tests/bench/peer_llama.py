"""Prefill, generation and the vision tower by this engine and by llama.cpp, turn by turn on one machine.

    python tests/bench/peer_llama.py TOKSWEEP LLAMA_BENCH [--rows 512,2048,8192] [--threads 2] [--repeats 5] [--wide] [--type f16]
    python tests/bench/peer_llama.py TOKSWEEP LIBMTMD --tower [--threads 2] [--repeats 5] [--type f16]

LLAMA_BENCH is llama.cpp's llama-bench, built for this machine (CMAKE_BUILD_TYPE=Release, GGML_NATIVE=ON). The shape is Qwen2-0.5B's, or with
--wide four layers of 7B's; weights are random, here bf16, there of --type (bf16, f16 or f32: which is its fastest depends on the processor).
LIBMTMD is its libmtmd.so (LLAMA_BUILD_MTMD=ON); the tower is so400m's at 384 x 384, 26 layers of which are used, with a projector of two
matrices to 896: the graph that llama.cpp has for SigLIP under the projector "janus_pro". Needs `pip install gguf numpy`.

What would make this unfair, and is kept out: both sides compute what `toksweep bench` does by itself and no more (no sampling, logits of one
row), llama-bench with flash attention on, which is its faster path on long prompts; each has the same number of threads; they take turns, one
measurement each, and the least time of each is compared, so a neighbour's work falls out. Before the first, each has had a turn that does not
count; llama-bench's own warm-up is left to it for prompts that are short.
"""

import argparse
import ctypes
import json
import os
import pathlib
import subprocess
import tempfile
import time

import gguf
import numpy as np

PROCESSORS = os.sched_getaffinity(0)
NARROW = {"hidden_size": 896, "intermediate_size": 4864, "num_attention_heads": 14, "num_key_value_heads": 2, "vocab_size": 151936,
          "num_hidden_layers": 24, "tie_word_embeddings": True}
WIDE = {"hidden_size": 3584, "intermediate_size": 18944, "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064,
        "num_hidden_layers": 4, "tie_word_embeddings": False}
AROUND = {"architectures": ["LlavaQwenForCausalLM"], "model_type": "llava", "rope_theta": 1e6, "rms_norm_eps": 1e-6, "hidden_act": "silu",
          "max_position_embeddings": 32768, "bos_token_id": 151643, "eos_token_id": 151645, "torch_dtype": "bfloat16",
          "mm_vision_tower": "google/siglip-so400m-patch14-384", "mm_hidden_size": 1152, "mm_vision_select_layer": -2,
          "mm_projector_type": "mlp2x_gelu", "mm_patch_merge_type": "spatial_unpad", "image_aspect_ratio": "pad"}


def random_weights(rng, kind, *shape):
    """Small random numbers, of bf16 as bytes: the upper halves of f32."""
    f32 = rng.uniform(-1 / 64, 1 / 64, shape).astype(np.float32)
    if kind == "bf16":
        return (f32.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
    return f32.astype({"f16": np.float16, "f32": np.float32}[kind])


def write_model(path, s, kind):
    """A Qwen2 of random weights in GGUF, without a vocabulary's words."""
    rng, width, ff = np.random.default_rng(1), s["hidden_size"], s["intermediate_size"]
    cached = s["num_key_value_heads"] * width // s["num_attention_heads"]
    out = gguf.GGUFWriter(path, "qwen2")
    out.add_context_length(32768)
    out.add_embedding_length(width)
    out.add_block_count(s["num_hidden_layers"])
    out.add_feed_forward_length(ff)
    out.add_head_count(s["num_attention_heads"])
    out.add_head_count_kv(s["num_key_value_heads"])
    out.add_rope_freq_base(1e6)
    out.add_layer_norm_rms_eps(1e-6)
    out.add_vocab_size(s["vocab_size"])
    out.add_tokenizer_model("no_vocab")

    def matrix(name, n_out, n_in):
        out.add_tensor(f"{name}.weight", random_weights(rng, kind, n_out, n_in), raw_dtype=gguf.GGMLQuantizationType[kind.upper()])

    def vector(name, n):
        out.add_tensor(name, np.ones(n, np.float32))

    matrix("token_embd", s["vocab_size"], width)
    if not s["tie_word_embeddings"]:
        matrix("output", s["vocab_size"], width)
    vector("output_norm.weight", width)
    for i in range(s["num_hidden_layers"]):
        for name, n in (("attn_q", width), ("attn_k", cached), ("attn_v", cached)):
            matrix(f"blk.{i}.{name}", n, width)
            vector(f"blk.{i}.{name}.bias", n)
        matrix(f"blk.{i}.attn_output", width, width)
        matrix(f"blk.{i}.ffn_gate", ff, width)
        matrix(f"blk.{i}.ffn_up", ff, width)
        matrix(f"blk.{i}.ffn_down", width, ff)
        vector(f"blk.{i}.attn_norm.weight", width)
        vector(f"blk.{i}.ffn_norm.weight", width)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def theirs(options, gguf_path, rows):
    """Ids a second: prefill of so many rows, or generation for 0."""
    made = ["-p", str(rows), "-n", "0"] if rows else ["-p", "0", "-n", "32"]
    made += ["--no-warmup"] if rows >= 8192 else []
    said = subprocess.run([options.llama, "-m", gguf_path, *made, "-t", str(options.threads), "-fa", "1", "-r", "1", "-o", "json"],
                          check=True, capture_output=True, text=True).stdout
    return json.loads(said)[0]["avg_ts"]


def ours(options, folder, rows, name):
    """A figure of `toksweep bench stages`, by name, on a folder that holds only a shape."""
    record = f"{folder}/ours.json"
    subprocess.run([options.toksweep, "bench", "stages", "--model", folder, "--rows", str(rows), "--repeats", "1",
                    "--threads", str(options.threads), "--json", record], check=True, capture_output=True,
                   preexec_fn=lambda: os.sched_setaffinity(0, PROCESSORS))  # OpenMP there may have bound this process to one
    figures = {figure["name"]: figure for figure in json.loads(pathlib.Path(record).read_text())["figures"]}
    return figures[name]["amount"] / min(figures[name]["seconds"])


# ---- the tower ----


def write_tower(path, kind, width=1152, ff=4304, heads=16, layers=26, out_width=896, patch=14, side=27):
    rng = np.random.default_rng(2)
    out = gguf.GGUFWriter(path, "clip")
    for key, value in {"has_vision_encoder": True, "use_gelu": True}.items():
        out.add_bool(f"clip.{key}", value)
    out.add_string("clip.projector_type", "janus_pro")
    for key, value in {"image_size": patch * side, "patch_size": patch, "embedding_length": width, "feed_forward_length": ff, "block_count": layers,
                       "projection_dim": out_width, "attention.head_count": heads}.items():
        out.add_uint32(f"clip.vision.{key}", value)
    out.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    for key in ("image_mean", "image_std"):
        out.add_array(f"clip.vision.{key}", [0.5, 0.5, 0.5])

    def linear(name, n_out, n_in):
        out.add_tensor(f"{name}.weight", random_weights(rng, kind, n_out, n_in), raw_dtype=gguf.GGMLQuantizationType[kind.upper()])
        out.add_tensor(f"{name}.bias", np.zeros(n_out, np.float32))

    def norm(name):
        out.add_tensor(f"{name}.weight", np.ones(width, np.float32))
        out.add_tensor(f"{name}.bias", np.zeros(width, np.float32))

    out.add_tensor("v.patch_embd.weight", random_weights(rng, "f16", width, 3, patch, patch))
    out.add_tensor("v.patch_embd.bias", np.zeros(width, np.float32))
    out.add_tensor("v.position_embd.weight", random_weights(rng, "f32", side * side, width))
    for i in range(layers):
        for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
            linear(f"v.blk.{i}.{name}", width, width)
        linear(f"v.blk.{i}.ffn_up", ff, width)
        linear(f"v.blk.{i}.ffn_down", width, ff)
        norm(f"v.blk.{i}.ln1")
        norm(f"v.blk.{i}.ln2")
    linear("mm.0", out_width, width)
    linear("mm.1", out_width, out_width)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


class Parameters(ctypes.Structure):
    """mtmd_context_params of tools/mtmd/mtmd.h."""
    _fields_ = [("use_gpu", ctypes.c_bool), ("device", ctypes.c_void_p), ("print_timings", ctypes.c_bool), ("n_threads", ctypes.c_int),
                ("image_marker", ctypes.c_char_p), ("media_marker", ctypes.c_char_p), ("flash_attn_type", ctypes.c_int), ("warmup", ctypes.c_bool),
                ("image_min_tokens", ctypes.c_int), ("image_max_tokens", ctypes.c_int), ("cb_eval", ctypes.c_void_p),
                ("cb_eval_user_data", ctypes.c_void_p), ("batch_max_tokens", ctypes.c_int32), ("progress_callback", ctypes.c_void_p),
                ("progress_callback_user_data", ctypes.c_void_p)]


class Part(ctypes.Structure):
    _fields_ = [("text", ctypes.c_void_p), ("bitmap", ctypes.c_void_p)]


class Tower:
    """llama.cpp's, with one picture ready to be encoded."""

    def __init__(self, library, path, threads, flash, pixels=378):
        self.mtmd = ctypes.CDLL(library)
        self.mtmd.mtmd_context_params_default.restype = Parameters
        for name in ("mtmd_init_from_file", "mtmd_bitmap_init", "mtmd_input_chunks_init", "mtmd_input_chunks_get", "mtmd_get_output_embd"):
            getattr(self.mtmd, name).restype = ctypes.c_void_p
        self.mtmd.mtmd_input_chunks_size.restype = self.mtmd.mtmd_input_chunk_get_n_tokens.restype = ctypes.c_size_t
        parameters = self.mtmd.mtmd_context_params_default()
        parameters.use_gpu, parameters.n_threads, parameters.flash_attn_type = False, threads, 1 if flash else 0
        self.context = ctypes.c_void_p(self.mtmd.mtmd_init_from_file(path.encode(), None, parameters))
        assert self.context, "mtmd does not open the tower"
        picture = np.random.default_rng(3).integers(0, 256, (pixels, pixels, 3), np.uint8).tobytes()
        part = Part(None, self.mtmd.mtmd_bitmap_init(ctypes.c_uint32(pixels), ctypes.c_uint32(pixels), picture))
        chunks = ctypes.c_void_p(self.mtmd.mtmd_input_chunks_init())
        parts = (ctypes.POINTER(Part) * 1)(ctypes.pointer(part))
        assert self.mtmd.mtmd_tokenize_from_parts(self.context, chunks, parts, ctypes.c_size_t(1), False) == 0
        assert self.mtmd.mtmd_input_chunks_size(chunks) == 1
        self.chunk = ctypes.c_void_p(self.mtmd.mtmd_input_chunks_get(chunks, ctypes.c_size_t(0)))
        assert self.mtmd.mtmd_input_chunk_get_n_tokens(self.chunk) == 729

    def frames_per_second(self):
        start = time.perf_counter()
        assert self.mtmd.mtmd_encode_chunk(self.context, self.chunk) == 0
        return 1 / (time.perf_counter() - start)


def compare_towers(options, folder):
    """Both kinds of attention there, as which is faster depends on the processor."""
    path = f"{folder}/tower.gguf"
    write_tower(path, options.type)
    print("attention there    ours frames/s    llama.cpp frames/s    ratio")
    for flash in (False, True):
        tower = Tower(options.llama, path, options.threads, flash)
        turns = [(ours(options, folder, 512, "vision tower and projector"), tower.frames_per_second()) for _ in range(options.repeats + 1)][1:]
        best = [max(side) for side in zip(*turns)]
        print(f"{'flash' if flash else 'plain':>15} {best[0]:16.3f} {best[1]:21.3f} {best[0] / best[1]:8.2f}", flush=True)


# ---- the language model ----


def compare_prompts(options, folder, shape):
    path = f"{folder}/random.gguf"
    write_model(path, shape, options.type)
    print("rows    ours ids/s    llama.cpp ids/s    ratio")
    for rows in map(int, options.rows.split(",")):
        name = f"prefill of {rows} rows" if rows else "generation"
        turns = [(ours(options, folder, rows or 512, name), theirs(options, path, rows)) for _ in range(options.repeats + 1)][1:]
        best = [max(side) for side in zip(*turns)]
        print(f"{rows or 'one':>5} {best[0]:12.1f} {best[1]:18.1f} {best[0] / best[1]:9.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("toksweep")
    parser.add_argument("llama", help="llama-bench, or with --tower libmtmd.so")
    parser.add_argument("--tower", action="store_true")
    parser.add_argument("--rows", default="512,2048,8192", help="of the prompts; 0: generation")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--wide", action="store_true")
    parser.add_argument("--type", default="bf16", choices=("bf16", "f16", "f32"))
    options = parser.parse_args()
    shape = WIDE if options.wide else NARROW
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "config.json").write_text(json.dumps(AROUND | shape))
        if options.tower:
            compare_towers(options, folder)
        else:
            compare_prompts(options, folder, shape)


if __name__ == "__main__":
    main()
