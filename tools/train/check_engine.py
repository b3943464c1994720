"""Holds the C engine's f32 logits against those of model.py, on a checkpoint folder: equal within 1e-4 of the largest.

    python check_engine.py CHECKPOINT ../../build/tests/world_logits
"""

import argparse
import subprocess

import numpy as np
import torch

import codes
import language
import model as models
import world

TOLERANCE = 1e-4


WIDE = (1 << 64) - 1


def mixed(z):
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9 & WIDE
    z = (z ^ z >> 27) * 0x94d049bb133111eb & WIDE
    return z ^ z >> 31


def engine_draws(name, n):
    """The program's random numbers (core/rng.h) of a named stream under seed 0."""
    stream, step = 0xcbf29ce484222325, 0x9e3779b97f4a7c15
    for byte in name.encode():
        stream = (stream ^ byte) * 0x100000001b3 & WIDE
    numbers = [mixed((mixed(mixed(step) ^ stream) + k * step) & WIDE) for k in range(n)]
    return torch.tensor([[(number >> 11) * 2.0 ** -53 for number in numbers]], dtype=torch.float64)


@torch.no_grad()
def logits_of(model, number, n_frames, method):
    batch = language.make_batch([world.Video(number)], n_frames, np.random.default_rng(0))
    features = model.tower(batch.rgb)
    projected = model.projector(features)
    if str(method).startswith("vq"):
        k = int(method[2:])
        rows, length = codes.fused(model.cross_attention, projected, n_frames, k, model.image_newline, steps=50,
                                   draws=engine_draws("k-means++", k))
    else:
        rows, length = language.compressed(model, features, projected, batch, method)
    *_, hidden = language.hidden_of(model, batch, rows, length)
    return model.logits(hidden[batch.choice > 0]).numpy(), int(length[0])


def compressor(method):
    """A method as the program has it: name and options."""
    if method == "none":
        return []
    return ["vqtoken", f'{{"form": "fused", "k": {method[2:]}}}'] if isinstance(method, str) else ["dyntok", f'{{"threshold": {method}}}']


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint")
    parser.add_argument("world_logits", help="the program's side, built with the tests")
    options = parser.parse_args()
    model, worst = models.load(options.checkpoint), 0
    checks = [(0, 2, "none"), (1, 5, "none"), (2, 8, "none"), (3, 4, 0.4), (4, 8, 0.6), (5, 3, 0.8)]
    if hasattr(model, "cross_attention"):
        checks = [(0, 4, "vq12"), (1, 8, "vq16"), (2, 16, "vq32"), (4, 5, "vq32")]
    for number, n_frames, method in checks:
        command = [options.world_logits, options.checkpoint, str(number), str(n_frames), *compressor(method)]
        theirs = np.array([[float(x) for x in line.split()] for line in
                           subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()])
        ours, n_rows = logits_of(model, number, n_frames, method)
        off = np.abs(ours[:, :theirs.shape[1]] - theirs).max() / np.abs(theirs).max()
        worst = max(worst, off)
        print(f"video {number}, {n_frames} frames, {method}: {n_rows} rows, {theirs.shape[1]} logits, off by {off:.1e} of the largest")
    if worst > TOLERANCE:
        raise SystemExit(f"off by {worst:.1e}, more than {TOLERANCE}")


if __name__ == "__main__":
    main()
