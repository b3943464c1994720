"""Records tests/fixtures/compressors/dycoke.json: what DyCoke's temporal merging keeps of a video, in the order it keeps it.

    git clone https://github.com/KD-TAO/DyCoke
    python tools/oracle/compressors/record_dycoke.py DyCoke tests/fixtures/compressors/dycoke.json
"""
import sys

import numpy
import torch

from common import plan, released, revision, scenes, write_fixture

D = 12
PATH = "llava/model/llava_arch.py"


def main():
    checkout, out = sys.argv[1:]
    ttm = released(f"{checkout}/{PATH}", ["dycole_ttm"], {"torch": torch})["dycole_ttm"]
    cases = {}
    for seed, T, h, w, k in ((1, 8, 4, 4, 0.5), (2, 9, 5, 6, 0.7), (3, 5, 3, 7, 0.3), (4, 12, 6, 6, 0), (5, 10, 4, 5, 1), (6, 11, 5, 5, 0.7)):
        n = h * w
        rows = torch.from_numpy(scenes(seed, "H", T, n, D)).view(-1, D)
        kept = ttm(rows, n, k)
        source = [int((rows == row).all(-1).nonzero()[0, 0]) for row in kept]  # rows differ from each other
        assert len(set(source)) == len(source)
        video = {"seed": seed, "T": T, "h": h, "w": w, "grid": "pooled"}
        cases[f"{T} frames of {n}, k = {k}"] = plan("dycoke", {"k": k, "form": "strict"}, video, numpy.eye(T * n)[source])
    write_fixture(out, f"KD-TAO/DyCoke {revision(checkout)} {PATH}", cases)


main()
