"""Records tests/fixtures/compressors/flashvid.json: FlashVID before the language model, as released. Tokens at one place, which lone frames
give, keep the order they are made in.

    git clone https://github.com/Fanziyang-v/FlashVID
    python tools/oracle/compressors/record_flashvid.py FlashVID tests/fixtures/compressors/flashvid.json
"""
import math
import sys
import types
import typing

import torch

from common import Torch, plan, released, revision, saliency, scenes, traced, weights_of, write_fixture

D = 12
UTILS = ["flashvid_compression", "segment_compression", "segment", "additional_segment", "dpc_knn", "spatiotemporal_compression"]
SELECTION = ["pairwise_cosine_distances", "attn_div_based_token_selection", "attn_div_v2_based_token_selection", "attn_based_token_selection",
             "div_based_token_selection"]


def in_order(text):
    return text.replace("final_global_indices.argsort()", "final_global_indices.argsort(stable=True)")


def main():
    checkout, out = sys.argv[1:]
    space = {"torch": Torch(), "F": torch.nn.functional, "math": math, "FlashVidConfig": None, **vars(typing)}
    released(f"{checkout}/flashvid/token_selection.py", SELECTION, space)
    released(f"{checkout}/flashvid/utils.py", UTILS, space, edit=in_order)
    names = {"attn": SELECTION[3], "attn_div_v2": SELECTION[2], "attn_div": SELECTION[1], "div": SELECTION[4]}
    space["ALL_TOKEN_SELECTION_METHOD"] = {name: space[function] for name, function in names.items()}
    cases = {}
    for seed, T, h, w, options in ((1, 8, 6, 6, {"segments": 2, "cut": 0.3, "keep": 0.2}), (2, 6, 5, 5, {"select": "attn_div", "segments": 3, "tau": 0.6}),
                                   (3, 7, 6, 5, {"select": "div", "segments": 2, "cut": 0, "tau": 0.3, "alpha": 0.4}),
                                   (4, 9, 5, 6, {"select": "attn", "segments": 8, "keep": 0.3}), (5, 6, 6, 6, {"select": "attn_div", "alpha": 0, "segments": 1, "cut": -1}),
                                   (6, 6, 5, 5, {"select": "attn", "alpha": 1, "segments": 2}), (7, 12, 5, 5, {"select": "attn_div", "segments": 1, "cut": -1, "tau": 0.1, "keep": 0.1})):
        n = h * w
        config = types.SimpleNamespace(
            retention_ratio=options.get("keep", 0.25), alpha=options.get("alpha", 0.7), token_selection_method=options.get("select", "attn_div_v2"),
            temporal_threshold=options.get("tau", 0.8), do_segment=True, segment_threshold=options.get("cut", 0.9),
            min_segment_num=options.get("segments", 8), complementary_segment=True, expansion=1.25)
        rows = traced(scenes(seed, "H", T, n, D).reshape(-1, D)).view(T, n, -1)
        sal = torch.from_numpy(saliency(seed, "sal", T * n)).view(T, n)
        summed, reps = space["flashvid_compression"](rows.clone(), sal, config)
        case = plan("flashvid", options, {"seed": seed, "T": T, "h": h, "w": w, "grid": "pooled"}, weights_of(summed, T * n))
        cases[f"{T} x {h} x {w}"] = {**case, "reps": reps}
    write_fixture(out, f"Fanziyang-v/FlashVID {revision(checkout)} flashvid", cases)


main()
