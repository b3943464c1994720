"""Records tests/fixtures/compressors/fastvid.json: FastVID's two releases, whose compression is written inside Qwen2's forward pass. The
block is run as it stands; of the release for LLaVA-Video, which knows 64 frames of 13 x 13 tokens and a newline only, these numbers
are made the case's.

    git clone https://github.com/LunarShen/FastVID
    python tools/oracle/compressors/record_fastvid.py FastVID tests/fixtures/compressors/fastvid.json
"""
import sys
import types

import numpy
import torch

from common import Torch, plan, released_block, revision, saliency, scenes, traced, weights_of, write_fixture

D, DX = 12, 10
PATH = "fastvid_llava{}/LLaVA-NeXT/llava/model/language_model/modeling_qwen2.py"
END = "if causal_mask is not None:"


def settings(T, sal, frame, **options):
    given = {"segments": 8, "tau": 0.9, "context": 0.4, "every": 4, "beta": 0.6, **options}
    return types.SimpleNamespace(
        video_start_idx=0, frame_num=T, frame_attn_weights=sal, frame_global_features=frame.clone(),
        fastvid_retention_ratio=given["keep"], fastvid_DySeg_c=given["segments"], fastvid_DySeg_tau=given["tau"],
        fastvid_STPrune_d=given["context"], fastvid_DTM_p=given["every"], fastvid_DTM_beta=given["beta"])


def run(block, rows, self):
    space = {"torch": Torch(), "F": torch.nn.functional, "self": self, "hidden_states": rows[None], "seq_length": rows.shape[0]}
    exec(block, space)
    return space["hidden_states"][0], space["keep_indexs"]


def main():
    checkout, out = sys.argv[1:]
    cases = {}
    for seed, T, h, w, options in ((1, 9, 5, 5, {"keep": 0.3, "segments": 3}), (2, 8, 6, 6, {"keep": 0.1, "segments": 2, "tau": 0.1}),
                                   (3, 7, 5, 6, {"keep": 0.4, "segments": 3, "every": 2, "beta": 0.2, "context": 0.7}),
                                   (4, 5, 4, 5, {"keep": 0.5, "segments": 2, "every": 1, "tau": -1})):
        n = h * w
        video = {"seed": seed, "T": T, "h": h, "w": w, "grid": "pooled"}
        rows = traced(scenes(seed, "H", T, n, D).reshape(-1, D))
        sal = torch.from_numpy(saliency(seed, "sal", T * n))
        frame = torch.from_numpy(scenes(seed, "frame", T, 1, DX)).view(T, DX).double()

        self = settings(T, sal, frame, **options)
        self.video_token_len = T * n
        summed, reps = run(released_block(f"{checkout}/{PATH.format('onevision')}", "###### FastVID ######", END), rows, self)
        case = plan("fastvid", {**options, "guide": "head"}, video, weights_of(summed, T * n))
        cases[f"onevision {T} x {h} x {w}"] = {**case, "reps": reps}

        def edit(text):
            text = text.replace("64 * 13 * 13", str(T * n)).replace("(video_all_indexs + 1) % 14", f"(video_all_indexs + 1) % {w + 1}")
            return text.replace("((pure_select_index // 14) + 1) * 14 - 1", f"((pure_select_index // {w + 1}) + 1) * {w + 1} - 1")

        self = settings(T, sal, frame, **options)
        self.video_token_len = T * h * (w + 1)
        with_newlines = torch.nn.functional.pad(rows.view(T * h, w, -1), (0, 0, 0, 1)).view(self.video_token_len, -1)
        summed, reps = run(released_block(f"{checkout}/{PATH.format('video')}", "### FastVID", END, edit), with_newlines, self)
        weights = weights_of(summed, T * n)
        tokens = weights.sum(dim=1) > 0.5
        case = plan("fastvid", {**options, "guide": "head", "program": "video"}, video, weights[tokens])
        cases[f"video {T} x {h} x {w}"] = {**case, "reps": [int(i) // (w + 1) * w + int(i) % (w + 1) for i in reps[tokens]]}
    write_fixture(out, f"LunarShen/FastVID {revision(checkout)} {PATH.format('{onevision,video}')}", cases)


main()
