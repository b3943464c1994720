"""Records tests/fixtures/compressors/visionzip.json: VisionZip as DyToK's authors adapted it to SigLIP, with one budget for all frames
and with one for each.

    git clone https://github.com/yu-lin-li/DyToK
    python tools/oracle/compressors/record_visionzip.py DyToK tests/fixtures/compressors/visionzip.json
"""
import sys

import torch

from common import plan, released, revision, saliency, scenes, write_fixture

DK = 6


def main():
    checkout, out = sys.argv[1:]
    space = released(f"{checkout}/dytok/visionzip/utils.py", ["static_compression", "dynamic_compression"], {"torch": torch})
    cases = {}
    for grid, seed, T, side in (("pooled", 1, 3, 6), ("raw", 2, 2, 7)):
        n = side * side
        video = {"seed": seed, "T": T, "h": side, "w": side, "grid": grid}
        keys = torch.from_numpy(scenes(seed, "kv", T, n, DK))
        sal = torch.from_numpy(saliency(seed, "sal", T * n)).view(T, n)
        hidden = torch.eye(T * n, dtype=torch.float64).view(T, n, T * n)
        for dominant, contextual in ((12, 2), (6, 5), (0, 4), (9, 0), (n - 3, 3), (n - 8, 5)):
            rows, _ = space["static_compression"](hidden, sal, keys, dominant, contextual)
            options = {"dominant": dominant, "contextual": contextual, "grid": grid, "order": "made"}
            cases[f"{grid} {dominant} and {contextual}"] = plan("visionzip", options, video, rows.reshape(-1, T * n))
        budgets = torch.tensor([17, 0, 8][:T])
        dominant = 6 * budgets // 7
        rows, _ = space["dynamic_compression"](hidden, sal, keys, dominant, budgets - dominant)
        case = plan("visionzip", {"grid": grid, "order": "made"}, video, torch.cat(rows))
        cases[f"{grid} budgets"] = {**case, "budgets": budgets}
    write_fixture(out, f"yu-lin-li/DyToK {revision(checkout)} dytok/visionzip/utils.py", cases)


main()
