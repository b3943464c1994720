"""Records tests/fixtures/compressors/scissor.json: LLaVA-Scissor's block of prepare_inputs_labels_for_multimodal, as it stands. Its
approximate components are made exact: all nodes, in order, are sampled, and members are looked up under their root, not under whatever
node their path has been halved to.

    git clone https://github.com/HumanMLLM/LLaVA-Scissor
    python tools/oracle/compressors/record_scissor.py LLaVA-Scissor tests/fixtures/compressors/scissor.json
"""
import collections
import sys
import types

import numpy
import torch

from common import plan, released, released_block, revision, scenes, traced, weights_of, write_fixture

D = 12
PATH = "llava/model/llava_arch_zip.py"


class InOrder:
    """numpy, whose random choice is everything in order."""
    random = types.SimpleNamespace(choice=lambda n, size, replace: numpy.arange(n)[:size])

    def __getattr__(self, name):
        return getattr(numpy, name)


def whole(text):
    return text.replace("np.where(uf.parent == root)", "np.where(np.array([uf.find(i) for i in range(n)]) == root)")


def main():
    checkout, out = sys.argv[1:]
    einops = types.SimpleNamespace(rearrange=lambda rows, _, n, hw: rows.view(n, hw, -1))
    space = released(f"{checkout}/{PATH}", ["UnionFind", "approximate_components"], {"np": InOrder(), "defaultdict": collections.defaultdict}, edit=whole)
    block = released_block(f"{checkout}/{PATH}", "image_feat_hw = einops.rearrange", "image_feat = selected_tokens")
    cases = {}
    for seed, T, h, w, threshold in ((1, 5, 6, 6, 0.9), (2, 6, 5, 5, 0.7), (3, 4, 6, 5, 0.97), (4, 3, 5, 5, 0.4), (5, 1, 4, 6, 0.8)):
        n = h * w
        rows = traced(scenes(seed, "H", T, n, D).reshape(-1, D))
        space.update(torch=torch, einops=einops, image_feat=rows, frame_num=T, ori_token_num=n, tau=threshold, epsilon=0.05,
                     self=types.SimpleNamespace(total_token_1=0, total_token_2=0, val_cnt=0), print=lambda *_: None)
        exec(block, space)
        cases[f"{threshold} of {T} x {h} x {w}"] = plan("scissor", {"threshold": threshold}, {"seed": seed, "T": T, "h": h, "w": w, "grid": "pooled"},
                                                        weights_of(space["selected_tokens"], T * n))
    write_fixture(out, f"HumanMLLM/LLaVA-Scissor {revision(checkout)} {PATH}", cases)


main()
