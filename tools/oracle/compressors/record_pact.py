"""Records tests/fixtures/compressors/pact.json: PACT's pruning, which is written inside Qwen2's forward pass, from given attention on, and
its clustering and merging, on rows and keys as they would enter a layer.

    git clone https://github.com/orailix/PACT
    python tools/oracle/compressors/record_pact.py PACT tests/fixtures/compressors/pact.json
"""
import sys
import types

import numpy
import torch

from common import plan, released, released_block, revision, saliency, scenes, traced, weights_of, write_fixture

D, DK = 12, 6
NAMES = ["normal_compute_pairwise_distances", "DBDPC", "compute_fastest_cluster_means_with_arbitrary_ids", "merge_clusters", "token_reduction"]


def main():
    checkout, out = sys.argv[1:]
    space = released(f"{checkout}/transformers/PACT/utils.py", NAMES, {"torch": torch, "np": numpy})
    prune = released_block(f"{checkout}/transformers/models/qwen2/modeling_qwen2.py", "if pact_config.pruning_filter_wth_percentage :",
                           "elif pact_config.prune_with_norm :")
    cases = {}
    for seed, T, h, w, options in ((1, 3, 6, 6, {}), (2, 4, 5, 5, {"keep": 0.3, "cutoff": 0.05}), (3, 5, 4, 6, {"keep": 0.8, "cutoff": 0.4, "reach": 0.5}),
                                   (4, 6, 6, 6, {"keep": 0.9, "cutoff": 0.1})):
        n = T * h * w
        config = types.SimpleNamespace(
            synchro=False, avoid_numerical_instability_DBDPC=True, take_mean=True, get_mean_position_id=False, coef_pruned=options.get("reach", 1.5),
            pruning_filter_wth_percentage=True, pruning_tokeep_percentage_value=options.get("keep", 0.55), avoid_numerical_instability_prune=True)
        rows = scenes(seed, "H", T, h * w, D).reshape(n, D)
        keys = torch.from_numpy(scenes(seed, "kv", T, h * w, DK)).view(n, DK).double()
        scores = torch.from_numpy(saliency(seed, "sal", n)) * torch.from_numpy(rows).norm(dim=1)
        space.update(pact_config=config, scores=scores)
        exec(prune, space)
        kept, hidden = space["first_mask"], traced(rows)
        merged, mask, sizes, _ = space["token_reduction"](hidden[kept], keys[kept], options.get("cutoff", 0.21), None, config,
                                                          pruned_hiddens=hidden[~kept], pruned_keys=keys[~kept])
        mask = mask.squeeze()
        case = plan("pact", options, {"seed": seed, "T": T, "h": h, "w": w, "grid": "pooled"}, weights_of(merged[mask], n))
        cases[f"{T} x {h} x {w}"] = {**case, "layer": 4, "reps": torch.nonzero(kept).squeeze()[mask], "sizes": sizes[mask]}
    write_fixture(out, f"orailix/PACT {revision(checkout)} transformers", cases)


main()
