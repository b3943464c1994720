"""Prefill and generation by this engine and by llama.cpp, turn by turn on one machine.

    python tests/bench/peer_llama.py TOKSWEEP LLAMA_BENCH [--rows 512,2048,8192] [--threads 2] [--repeats 5] [--wide] [--type f16]

LLAMA_BENCH is llama.cpp's llama-bench, built for this machine (CMAKE_BUILD_TYPE=Release, GGML_NATIVE=ON). The shape is Qwen2-0.5B's, or with
--wide four layers of 7B's; weights are random, here bf16, there of --type (bf16, f16 or f32: which is its fastest depends on the processor). Needs
`pip install gguf numpy`.

What would make this unfair, and is kept out: both sides compute what `toksweep bench` does by itself and no more (no sampling, logits of one
row), llama-bench with flash attention on, which is its faster path on long prompts; each has the same number of threads; they take turns, one
measurement each, and the least time of each is compared, so a neighbour's work falls out. Before the first, each has had a turn that does not
count.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile

import gguf
import numpy as np

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
    said = subprocess.run([options.llama_bench, "-m", gguf_path, *made, "-t", str(options.threads), "-fa", "1", "-r", "1", "-o", "json"],
                          check=True, capture_output=True, text=True).stdout
    return json.loads(said)[0]["avg_ts"]


def ours(options, folder, rows):
    """The same, of `toksweep bench stages` on a folder that holds only a shape."""
    record = f"{folder}/ours.json"
    subprocess.run([options.toksweep, "bench", "stages", "--model", folder, "--rows", str(rows or 512), "--repeats", "1",
                    "--threads", str(options.threads), "--json", record], check=True, capture_output=True)
    figures = {figure["name"]: figure for figure in json.loads(pathlib.Path(record).read_text())["figures"]}
    figure = figures[f"prefill of {rows} rows" if rows else "generation"]
    return figure["amount"] / min(figure["seconds"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("toksweep")
    parser.add_argument("llama_bench")
    parser.add_argument("--rows", default="512,2048,8192", help="of the prompts; 0: generation")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--wide", action="store_true")
    parser.add_argument("--type", default="bf16", choices=("bf16", "f16", "f32"))
    options = parser.parse_args()
    shape = WIDE if options.wide else NARROW
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/random.gguf"
        write_model(path, shape, options.type)
        pathlib.Path(folder, "config.json").write_text(json.dumps(AROUND | shape))
        print("rows    ours ids/s    llama.cpp ids/s    ratio")
        for rows in map(int, options.rows.split(",")):
            turns = [(ours(options, folder, rows), theirs(options, path, rows)) for _ in range(options.repeats + 1)][1:]
            best = [max(side) for side in zip(*turns)]
            print(f"{rows or 'one':>5} {best[0]:12.1f} {best[1]:18.1f} {best[0] / best[1]:9.2f}", flush=True)


if __name__ == "__main__":
    main()
