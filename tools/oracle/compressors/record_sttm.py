"""Records tests/fixtures/compressors/sttm.json: STTM's quadtree and its unions over time, as the released code makes them of the rows
that enter a layer.

    git clone https://github.com/HYUNJS/STTM
    python tools/oracle/compressors/record_sttm.py STTM tests/fixtures/compressors/sttm.json
"""
import sys
import types

import torch

from common import plan, revision, scenes, traced, weights_of, write_fixture

D = 12


def rearrange(rows, pattern, s):
    assert pattern == "(n s) c -> n s c"
    return rows.view(-1, s, rows.shape[-1])


def main():
    checkout, out = sys.argv[1:]
    sys.modules["einops"] = types.SimpleNamespace(rearrange=rearrange)
    sys.path.insert(0, checkout)
    from token_merging_utils.quadtree_builder import quadtree_build_video
    torch.Tensor.float = torch.Tensor.double # decisions in f64, as the rows are
    cases = {}
    for seed, T, side, options in ((1, 4, 14, {"spatial": 0.7}), (2, 5, 6, {"spatial": 0.8, "root": 0}), (3, 5, 7, {"spatial": 0.6, "temporal": 0.8}),
                                   (4, 3, 13, {"spatial": 0.65, "root": 0, "temporal": 0}), (5, 6, 6, {"spatial": 0.75, "mean": "cells", "root": 0}),
                                   (6, 6, 5, {"spatial": 0.5, "temporal": 0.3, "root": 0}), (7, 4, 3, {"spatial": 0.9, "root": 3})):
        n = side * side
        rows = traced(scenes(seed, "H", T, n, D).reshape(-1, D)).view(T, side, side, -1).permute(0, 3, 1, 2)
        levels = 1
        while (side + 2 ** levels - 1) // 2 ** levels >= 2 and side > 2 ** levels:
            levels += 1
        root = min(options.get("root", 1), levels - 1)
        summed, _, boxes = quadtree_build_video(rows, options["spatial"], options.get("temporal", 0.55), root, weighted_avg=options.get("mean") == "cells")
        case = plan("sttm", {**options, "layer": 0}, {"seed": seed, "T": T, "h": side, "w": side, "grid": "pooled"}, weights_of(summed, T * n))
        cases[f"{T} x {side} x {side}"] = {**case, "reps": [(t * side + y) * side + x for t, y, x in boxes[:, :3].tolist()]}
    write_fixture(out, f"HYUNJS/STTM {revision(checkout)} token_merging_utils", cases)


main()
