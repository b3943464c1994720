"""Records tests/fixtures/compressors/vidcom2.json: which tokens VidCom2 keeps.

    git clone https://github.com/xuyang-liu16/VidCom2
    python tools/oracle/compressors/record_vidcom2.py VidCom2 tests/fixtures/compressors/vidcom2.json
"""
import sys
import typing

import numpy
import torch

from common import plan, released, revision, scenes, write_fixture

D = 12
PATH = "token_compressor/vidcom2/vidcom2.py"
NAMES = ["select_low_var_channels", "compute_gaussian_scores", "_multi_scale_gaussian", "compute_scales", "select_outlier_indices"]


def main():
    checkout, out = sys.argv[1:]
    space = released(f"{checkout}/{PATH}", NAMES, {"torch": torch, "F": torch.nn.functional, **vars(typing)})
    cases = {}
    for seed, T, h, w, keep in ((1, 6, 6, 6, 0.25), (2, 5, 4, 7, 0.15), (3, 1, 5, 5, 0.5), (4, 4, 6, 5, 0.02), (5, 3, 6, 6, 0.9)):
        n = h * w
        rows = torch.from_numpy(scenes(seed, "H", T, n, D)).double().view(-1, D)
        of_video, of_frame = space["compute_gaussian_scores"](space["select_low_var_channels"](rows), n)
        scales = space["compute_scales"](-of_video.mean(dim=-1), keep)
        kept = space["select_outlier_indices"](of_video + of_frame, scales, n)
        kept = [t * n + i for t, indices in enumerate(kept) for i in indices.tolist()]
        cases[f"{keep} of {T} frames"] = plan("vidcom2", {"keep": keep}, {"seed": seed, "T": T, "h": h, "w": w, "grid": "pooled"}, numpy.eye(T * n)[kept])
    write_fixture(out, f"xuyang-liu16/VidCom2 {revision(checkout)} {PATH}", cases)


main()
