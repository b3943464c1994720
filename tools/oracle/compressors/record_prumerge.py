"""Records tests/fixtures/compressors/prumerge.json: PruMerge and PruMerge+ as released, with saliency in place of the class token's
attention. The grid's size, 575 = 24 * 24 - 1 in the released file, is made that of the case.

    git clone https://github.com/42Shawn/LLaVA-PruMerge
    python tools/oracle/compressors/record_prumerge.py LLaVA-PruMerge tests/fixtures/compressors/prumerge.json
"""
import sys
import types

import numpy
import torch

from common import plan, released, revision, saliency, scenes, write_fixture

DK = 6
PATH = "llava/model/multimodal_encoder/clip_encoder.py"
NAMES = ["complement_idx", "outlier_dectection", "token_prune_merge_advanced", "token_prune_merge_advanced_plus"]


class Tower:
    """Stands for CLIP: hands out the features, and takes hooks without calling them."""
    device, dtype, select_layer = "cpu", torch.float64, -2

    def __init__(self, n):
        self.n = n
        handle = types.SimpleNamespace(remove=lambda: None)
        projection = types.SimpleNamespace(register_forward_hook=lambda hook: handle)
        layer = types.SimpleNamespace(self_attn=types.SimpleNamespace(k_proj=projection, q_proj=projection))
        self.vision_model = types.SimpleNamespace(encoder=types.SimpleNamespace(layers=[layer] * 24))
        self.vision_tower = self

    def __call__(self, images, output_hidden_states):
        features = torch.cat([torch.zeros(1, self.n), torch.eye(self.n)]).double()[None]
        return types.SimpleNamespace(hidden_states=[features, features])

    def feature_select(self, out):
        return out.hidden_states[-1][:, 1:]


def merged(checkout, name, keys, sal, **arguments):
    """Rows [tokens][sources] of one frame."""
    n = len(sal)
    keys = torch.nn.functional.pad(keys, (0, n - keys.shape[1])) # as wide as the features, which are one of each source
    with_class = torch.cat([torch.ones(1, n), keys])[None].double()
    attention = torch.cat([torch.zeros(1), sal])[None, None].double()
    functional = types.SimpleNamespace(softmax=lambda scores, dim: attention, normalize=torch.nn.functional.normalize)
    space = {"torch": torch, "np": numpy, "F": functional, "hook_k": None, "hook_q": None,
             "outputs": {"desired_k": with_class, "desired_q": with_class}}
    released(f"{checkout}/{PATH}", NAMES, space, edit=lambda text: text.replace("575", str(n - 1)))
    return space[name](Tower(n), torch.zeros(1), **arguments)[0].numpy()


def main():
    checkout, out = sys.argv[1:]
    cases = {}
    for seed, T, h, w in ((1, 2, 6, 6), (2, 1, 7, 8)):
        n = h * w
        video = {"seed": seed, "T": T, "h": h, "w": w, "grid": "raw"}
        keys = torch.from_numpy(scenes(seed, "kv", T, n, DK))
        sal = torch.from_numpy(saliency(seed, "sal", T * n)).view(T, n)

        def rows(name, **arguments):
            frames = [merged(checkout, name, keys[t], sal[t], **arguments) for t in range(T)]
            return numpy.concatenate([numpy.pad(f, ((0, 0), (t * n, (T - 1 - t) * n))) for t, f in enumerate(frames)])

        cases[f"{h} x {w}"] = plan("prumerge", {"order": "made"}, video, rows("token_prune_merge_advanced"))
        cases[f"{h} x {w}, a tenth"] = plan("prumerge", {"order": "made", "keep": 0.1}, video,
                                            rows("token_prune_merge_advanced", if_adaptive=False, reduction_ratio=0.1))
        cases[f"{h} x {w}, plus"] = plan("prumerge", {"order": "made", "variant": "plus"}, video, rows("token_prune_merge_advanced_plus"))
    write_fixture(out, f"42Shawn/LLaVA-PruMerge {revision(checkout)} {PATH}", cases)


main()
