"""Holds the C engine's f32 logits against those of model.py, on a checkpoint folder: equal within 1e-4 of the largest.

    python check_engine.py CHECKPOINT ../../build/tests/world_logits
"""

import argparse
import subprocess

import numpy as np
import torch

import language
import model as models
import world

TOLERANCE = 1e-4


@torch.no_grad()
def logits_of(model, number, n_frames, method):
    batch = language.make_batch([world.Video(number)], n_frames, np.random.default_rng(0))
    features = model.tower(batch.rgb)
    rows, length = language.compressed(model, features, model.projector(features), batch, method)
    *_, hidden = language.hidden_of(model, batch, rows, length)
    return model.logits(hidden[batch.choice > 0]).numpy(), int(length[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint")
    parser.add_argument("world_logits", help="the program's side, built with the tests")
    options = parser.parse_args()
    model, worst = models.load(options.checkpoint), 0
    for number, n_frames, method in ((0, 2, "none"), (1, 5, "none"), (2, 8, "none"), (3, 4, 0.4), (4, 8, 0.6), (5, 3, 0.8)):
        command = [options.world_logits, options.checkpoint, str(number), str(n_frames)] + ([] if method == "none" else [str(method)])
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
