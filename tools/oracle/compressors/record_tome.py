"""Records tests/fixtures/compressors/tome.json: which tokens ToMe's released matching merges, step by step, in its own order.

    git clone https://github.com/facebookresearch/ToMe
    python tools/oracle/compressors/record_tome.py ToMe tests/fixtures/compressors/tome.json

Features are compared and merged as they are, as on projected tokens; `steps` of r = what is left to remove over the steps ahead.
"""
import math
import sys

import torch

from common import features, revision, upstream_module, write_fixture


def merge_down(tome, x, wanted, steps):
    size = source = None
    step = 0
    while x.shape[1] > wanted:
        n = x.shape[1]
        ahead = max(steps - step, 1)
        r = min(math.ceil((n - wanted) / ahead), n // 2)
        merge, _ = tome.bipartite_soft_matching(x, r)
        source = tome.merge_source(merge, x, source)
        x, size = tome.merge_wavg(merge, x, size)
        step += 1
    return x, size, source


def main():
    checkout, out = sys.argv[1:]
    tome = upstream_module(checkout, "tome/merge.py", "tome_merge")
    cases = {}
    for seed, (side, frames, per, keep, steps, width) in enumerate([
            (4, 1, "frame", 0.75, 0, 8), (5, 1, "frame", 0.5, 0, 8), (5, 2, "frame", 0.2, 0, 24), (5, 2, "frame", 0.04, 0, 24),
            (5, 3, "video", 0.25, 0, 24), (14, 1, "frame", 0.1, 0, 32), (14, 1, "frame", 0.4, 6, 32), (7, 3, "video", 0.3, 4, 32)]):
        n = side * side
        rows = torch.from_numpy(features(seed, "H", frames * n, width))
        units = rows.view(frames, n, width) if per == "frame" else rows.view(1, frames * n, width)
        made, sizes, member, means = 0, [], [0] * (frames * n), []
        for t, unit in enumerate(units):
            x, size, source = merge_down(tome, unit[None], max(1, round(keep * len(unit))), steps)
            for j, row in enumerate(source[0]):
                for i in row.nonzero().flatten().tolist():
                    member[t * len(unit) + i] = made + j
            made += x.shape[1]
            sizes += size.flatten().int().tolist()
            means += x.flatten().tolist()
        case = {"side": side, "frames": frames, "width": width, "seed": seed, "keep": keep, "steps": steps, "per": per, "sizes": sizes, "member": member}
        if len(means) < 300:
            case["means"] = means
        cases[f"{frames} frames of {side} x {side}, {keep:g} per {per}, {steps} steps"] = case
    write_fixture(out, f"facebookresearch/ToMe {revision(checkout)} tome/merge.py", cases)


main()
