"""Records tests/fixtures/compressors/prunevid.json: PruneVid's merging of frames and cells, before the language model.

    git clone https://github.com/Visual-AI/PruneVid
    python tools/oracle/compressors/record_prunevid.py PruneVid tests/fixtures/compressors/prunevid.json
"""
import sys
import types

import torch

from common import Torch, plan, released, revision, scenes, traced, weights_of, write_fixture

D = 12
PATH = "models/pllava/modeling_pllava.py"
NAMES = ["index_points", "cluster_dpc_knn", "segment_lengths", "refine_clusters", "compute_cluster_vectors", "spatial_merge_tokens",
         "merge_frames_dynamic"]


def main():
    checkout, out = sys.argv[1:]
    space = released(f"{checkout}/{PATH}", NAMES, {"torch": Torch(), "F": torch.nn.functional, "einsum": torch.einsum})
    cases = {}
    for seed, T, h, w, options in ((1, 8, 6, 6, {}), (2, 12, 5, 5, {"tau": 0.6, "segments": 0.4}), (3, 9, 6, 5, {"keep": 0.3, "tau": 0.5, "segments": 0.5}),
                                   (4, 16, 4, 5, {"segments": 0.5, "tau": 0.3}),
                                   *((seed, 20, 1, 2, {"segments": 0.15 + 0.1 * (seed % 6), "tau": -2}) for seed in range(7, 19))):
        n = h * w
        model = type("Model", (), {name: space[name] for name in NAMES[4:]})()
        model.config = types.SimpleNamespace(num_frames=T, pooling_shape=(T, h, w), cluster_ratio=options.get("keep", 0.5),
                                             temporal_segment_ratio=options.get("segments", 0.25))
        rows = traced(scenes(seed, "H", T, n, D).reshape(-1, D))
        summed = model.merge_frames_dynamic(rows[None], threshold=options.get("tau", 0.8), k=7)[0][0]
        cases[f"{T} x {h} x {w}, seed {seed}"] = plan("prunevid", {**options, "order": "made"}, {"seed": seed, "T": T, "h": h, "w": w, "grid": "pooled"},
                                         weights_of(summed, T * n))
    write_fixture(out, f"Visual-AI/PruneVid {revision(checkout)} {PATH}", cases)


main()
