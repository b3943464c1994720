"""Records tests/fixtures/compressors/divprune.json: what DivPrune keeps of a video, and of each frame.

    git clone https://github.com/vbdi/divprune
    python tools/oracle/compressors/record_divprune.py divprune tests/fixtures/compressors/divprune.json
"""
import sys

import numpy
import torch

from common import plan, released, revision, scenes, write_fixture

D = 12
PATH = "LLaVA/llava/model/llava_arch.py"


def main():
    checkout, out = sys.argv[1:]
    space = released(f"{checkout}/{PATH}", ["DivPrune", "pairwise_cosine_similarity"], {"torch": torch})

    class Model:
        pairwise_cosine_similarity = space["pairwise_cosine_similarity"]

    cases = {}
    for seed, T, h, w, ratio in ((1, 4, 6, 6, 0.098), (2, 3, 5, 7, 0.25), (3, 1, 4, 4, 0.5), (4, 2, 4, 5, 0.0375)):
        n = h * w
        rows = torch.from_numpy(scenes(seed, "H", T, n, D)).double().view(-1, D)
        video = {"seed": seed, "T": T, "h": h, "w": w, "grid": "pooled"}
        kept, _ = space["DivPrune"](Model(), rows, T * n, threshold_ratio=ratio)
        cases[f"{ratio} of a video"] = plan("divprune", {"keep": ratio}, video, numpy.eye(T * n)[sorted(kept.tolist())])
        kept = [t * n + i for t in range(T) for i in sorted(space["DivPrune"](Model(), rows[t * n:(t + 1) * n], n, threshold_ratio=ratio)[0].tolist())]
        cases[f"{ratio} of each frame"] = plan("divprune", {"keep": ratio, "per": "frame"}, video, numpy.eye(T * n)[kept])
    write_fixture(out, f"vbdi/divprune {revision(checkout)} {PATH}", cases)


main()
