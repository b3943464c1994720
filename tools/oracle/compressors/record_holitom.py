"""Records tests/fixtures/compressors/holitom.json: HoliTom before the language model, in the order for one newline and in that for row
newlines. With D > 0 the released code fails on a mask of one dimension too many, in `merge_tokens_by_attention_density`; that line is
mended here.

    git clone https://github.com/cokeshao/HoliTom
    python tools/oracle/compressors/record_holitom.py HoliTom tests/fixtures/compressors/holitom.json
"""
import math
import os
import sys
import types

import torch

from common import Torch, plan, released, released_block, revision, saliency, scenes, traced, weights_of, write_fixture

D = 12
PATH = "holitom/llava_arch.py"
NAMES = ["cluster_dpc_knn", "select_static_windows", "merge_tokens_by_clustering", "merge_tokens_by_attention_density",
         "merge_tokens_by_density", "add_newline_token", "holitom", "get_static_dynamic_features"]


def main():
    checkout, out = sys.argv[1:]
    space = released(f"{checkout}/{PATH}", NAMES, {"torch": Torch(), "math": math},
                     edit=lambda text: text.replace("pos.masked_select(mask.unsqueeze(-1))", "pos.masked_select(mask)"))
    block = released_block(f"{checkout}/{PATH}", "pooled_image_feat_normed = ", "image_features.append(torch.cat(segment_features")
    cases = {}
    for seed, T, side, options in ((1, 7, 6, {"keep": 0.25}), (2, 6, 5, {"keep": 0.15, "tau": 0.65, "density": 0.6}),
                                   (3, 8, 5, {"keep": 0.4, "tau": 0.9, "most_frames": 2, "beta": 0.3, "nearest": 3}),
                                   (4, 6, 6, {"keep": 0.3, "density": 1, "centre": "mean"}), (5, 1, 4, {"keep": 0.3}), (6, 3, 5, {"keep": 0.9, "tau": -2})):
        n = side * side
        video = {"seed": seed, "T": T, "h": side, "w": side, "grid": "pooled"}
        rows = traced(scenes(seed, "H", T, n, D).reshape(-1, D)).view(T, n, -1)
        os.environ["NO_BETA"] = "1" if options.get("centre") == "mean" else "0"
        for newline in "one_token", "grid":
            model = type("Model", (), {name: space[name] for name in NAMES})()
            model.model = types.SimpleNamespace(image_newline=torch.zeros(rows.shape[-1]).double())
            space.update(self=model, pooled_image_feat=rows, batch_size=T, seq_len=n, tau=options.get("tau", 0.8), retain_ratio=options["keep"],
                         max_window_size=options.get("most_frames", 1024), D=options.get("density", 0), Beta=options.get("beta", 0.6),
                         K=options.get("nearest", 7), images_dtype=torch.float64, mm_newline_position=newline, rank0_print=lambda *_: None,
                         attn_weights=torch.from_numpy(saliency(seed, "sal", T * n)).view(T, n))
            exec(block, space)
            weights = weights_of(torch.cat(space["segment_features"]), T * n)
            order = "made" if newline == "one_token" else "place"
            cases[f"{order} {seed}"] = plan("holitom", {**options, "order": order}, video, weights[weights.sum(dim=1) > 0.5])
    write_fixture(out, f"cokeshao/HoliTom {revision(checkout)} {PATH}", cases)


main()
