"""The stages of a record of `toksweep bench stages --device cuda --json RECORD` by PyTorch, on the same card: the tower with its projector
on as many frames at once, and prefill of as many rows; and the ratio of the rates.

    python tests/bench/peer_torch_card.py RECORD [--repeats 5] [--compile] [--device cuda]

Weights are random, of the published shapes, bf16; norms, biases, rotation, scaled_dot_product_attention and residuals are those of the
models, the residual stream in bf16 as upstream. Each rate is the median of the repeats after two to warm up. `--layers N` stops after N
layers, to try this where there is no card.
"""

import argparse
import json
import re
import statistics
import time

import torch
import torch.nn.functional as F

TOWER = {"layers": 26, "width": 1152, "heads": 16, "ff": 4304, "patches": 729, "inputs": 3 * 14 * 14}
LANGUAGE = {
    "0.5b": {"layers": 24, "width": 896, "heads": 14, "kv_heads": 2, "head": 64, "ff": 4864},
    "7b": {"layers": 28, "width": 3584, "heads": 28, "kv_heads": 4, "head": 128, "ff": 18944},
}


def random(device, *shape):
    return torch.randn(*shape, device=device, dtype=torch.bfloat16) * 0.02


def linear(device, n_out, n_in, bias=True):
    return random(device, n_out, n_in), random(device, n_out) if bias else None


def attend(q, k, v, causal):
    """q [.., heads, n, head], fewer heads of k and v shared by equal parts of those of q."""
    group = q.shape[-3] // k.shape[-3]
    if group > 1:
        k, v = (x.repeat_interleave(group, dim=-3) for x in (k, v))
    return F.scaled_dot_product_attention(q, k, v, is_causal=causal)


class Tower:
    def __init__(self, device, layers, d):
        t, self.layers = TOWER, []
        width, ff = t["width"], t["ff"]
        self.patch, self.position = linear(device, width, t["inputs"]), random(device, t["patches"], width)
        for _ in range(layers):
            self.layers.append({"norm1": linear(device, width, 1), "qkv": linear(device, 3 * width, width), "out": linear(device, width, width),
                                "norm2": linear(device, width, 1), "fc1": linear(device, ff, width), "fc2": linear(device, width, ff)})
        self.projector = linear(device, d, width), linear(device, d, d)

    def __call__(self, pixels):
        frames, n = pixels.shape[0], TOWER["patches"]
        x = F.linear(pixels, *self.patch) + self.position
        for layer in self.layers:
            h = F.layer_norm(x, x.shape[-1:], layer["norm1"][0][:, 0], layer["norm1"][1], 1e-6)
            q, k, v = F.linear(h, *layer["qkv"]).view(frames, n, 3, TOWER["heads"], -1).permute(2, 0, 3, 1, 4)
            x = x + F.linear(attend(q, k, v, False).transpose(1, 2).reshape(x.shape), *layer["out"])
            h = F.layer_norm(x, x.shape[-1:], layer["norm2"][0][:, 0], layer["norm2"][1], 1e-6)
            x = x + F.linear(F.gelu(F.linear(h, *layer["fc1"]), approximate="tanh"), *layer["fc2"])
        first, second = self.projector
        return F.linear(F.gelu(F.linear(x, *first)), *second)


def rms_norm(x, w):
    wide = x.float()
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + 1e-6)).to(x.dtype) * w


def rotate(x, cos, sin):
    low, high = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-high, low), dim=-1) * sin


class Language:
    def __init__(self, device, layers, shape, rows):
        self.shape, self.layers = shape, []
        width, head, ff = shape["width"], shape["head"], shape["ff"]
        q, kv = shape["heads"] * head, shape["kv_heads"] * head
        for _ in range(layers):
            self.layers.append({"norm1": random(device, width), "qkv": linear(device, q + 2 * kv, width), "out": linear(device, width, q, False),
                                "norm2": random(device, width), "gate_up": linear(device, 2 * ff, width, False),
                                "down": linear(device, width, ff, False)})
        angles = torch.arange(rows, device=device)[:, None] / 1e6 ** (torch.arange(0, head, 2, device=device) / head)
        self.cos, self.sin = (f(torch.cat((angles, angles), dim=-1)).bfloat16() for f in (torch.cos, torch.sin))

    def __call__(self, x):
        s, n = self.shape, x.shape[0]
        q_width, kv_width = s["heads"] * s["head"], s["kv_heads"] * s["head"]
        for layer in self.layers:
            parts = F.linear(rms_norm(x, layer["norm1"]), *layer["qkv"]).split((q_width, kv_width, kv_width), dim=-1)
            q, k, v = (part.view(1, n, -1, s["head"]).transpose(1, 2) for part in parts)
            q, k = (rotate(part, self.cos, self.sin) for part in (q, k))
            x = x + F.linear(attend(q, k, v, True).transpose(1, 2).reshape(n, q_width), layer["out"][0])
            gate, up = F.linear(rms_norm(x, layer["norm2"]), layer["gate_up"][0]).chunk(2, dim=-1)
            x = x + F.linear(F.silu(gate) * up, layer["down"][0])
        return x


def seconds(run, argument, repeats, device):
    taken = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        run(argument)
        if device != "cpu":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[2:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("record")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--layers", type=int, default=1000)
    args = parser.parse_args()
    with open(args.record, encoding="utf-8") as file:
        record = json.load(file)
    figures = {figure["name"]: figure for figure in record["figures"] if figure["part"] == "stages"}
    prefill = next(name for name in figures if name.startswith("prefill of "))
    rows, frames = int(re.search(r"\d+", prefill)[0]), int(figures["vision tower and projector"]["amount"])
    shape = LANGUAGE["0.5b" if "0.5b" in record["model"].lower() else "7b"]
    tower = Tower(args.device, min(args.layers, TOWER["layers"]), shape["width"])
    language = Language(args.device, min(args.layers, shape["layers"]), shape, rows)
    work = {"vision tower and projector": (tower, random(args.device, frames, TOWER["patches"], TOWER["inputs"])),
            prefill: (language, random(args.device, rows, shape["width"]))}
    print(f"PyTorch {torch.__version__}, {record['model']}, bf16{', compiled' if args.compile else ''}\n")
    print("| figure | unit | toksweep | PyTorch | ratio |\n|---|---|---|---|---|")
    with torch.inference_mode():
        for name, (run, argument) in work.items():
            figure = figures[name]
            theirs = figure["amount"] / seconds(torch.compile(run) if args.compile else run, argument, args.repeats, args.device)
            ours = figure["amount"] / statistics.median(figure["seconds"])
            print(f"| {name} | {figure['unit']} | {ours:.4g} | {theirs:.4g} | {ours / theirs:.2f} |")


if __name__ == "__main__":
    main()
