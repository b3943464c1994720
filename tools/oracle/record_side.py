"""Makes micro-head, the micro tower read with two heads and a pooling head of its own, and records what the tower knows beside X:
side.safetensors. Compressors decide by these (attention received, keys, the pooling head's probe and vector).

    python record_side.py ../../tests/fixtures

The head's weights are seeded; what is recorded is described in tests/fixtures/micro/README.md.
"""

import argparse
import json
import pathlib
import shutil
import tempfile

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save_file
from safetensors.torch import load_file, save_file as save_torch
from transformers.models.siglip.modeling_siglip import SiglipMultiheadAttentionPoolingHead

from make_micro import VISION, VISION_FF, linear, storable, write_index, write_json
from pictures import frame
from record_stages import PATCHES, SIZE, T, pool
from reference import load_reference, pixel_values, versions, vision_layers

SEED, HEADS = 20240711, 2
ROOT = "model.vision_tower.vision_tower.vision_model.head."


def head_weights(rng):
    """Names as SigLIP's checkpoints have them."""
    yield "probe", rng.standard_normal((1, 1, VISION))
    weight, bias = linear(rng, 3 * VISION, VISION, 1.5, 0.1)
    yield "attention.in_proj_weight", weight
    yield "attention.in_proj_bias", bias
    yield "layernorm.weight", 1 + 0.1 * rng.standard_normal(VISION)
    yield "layernorm.bias", 0.1 * rng.standard_normal(VISION)
    for name, out, n_in in ("attention.out_proj", VISION, VISION), ("mlp.fc1", VISION_FF, VISION), ("mlp.fc2", VISION, VISION_FF):
        weight, bias = linear(rng, out, n_in, 1.0, 0.1)
        yield name + ".weight", weight
        yield name + ".bias", bias


def write_head(fixtures, weights):
    """What turns a copy of micro-sharded into micro-head: a third shard, an index and a config."""
    folder, sharded = fixtures / "micro-head", fixtures / "micro-sharded"
    folder.mkdir(exist_ok=True)
    shard = {ROOT + name: value for name, value in weights.items()}
    save_torch(shard, folder / "head.safetensors", metadata={"format": "pt"})
    parts = {path.name: load_file(path) for path in sorted(sharded.glob("*.safetensors"))}
    write_index(folder, {**parts, "head.safetensors": shard})
    config = json.loads((sharded / "config.json").read_text())
    config["vision_config"]["num_attention_heads"] = HEADS
    write_json(folder / "config.json", config)


def with_heads(folder, heads):
    """The reference model of a llava-hf folder, its tower read with this many heads."""
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(folder, copy, dirs_exist_ok=True)
        path = pathlib.Path(copy) / "config.json"
        config = json.loads(path.read_text())
        config["vision_config"]["num_attention_heads"] = heads
        write_json(path, config)
        return load_reference(copy)


def tower(reference, pixels):
    """X, the last layer's attention [T][heads][n][n] and its keys [T][n][width]."""
    kept = {}
    last = vision_layers(reference)[-1]
    hooks = [last.self_attn.k_proj.register_forward_hook(lambda _m, _i, out: kept.update(keys=out.clone())),
             last.register_forward_hook(lambda _m, _i, out: kept.update(x=(out[0] if isinstance(out, tuple) else out).clone()))]
    with torch.no_grad():
        attention = reference.model.vision_tower(pixels, output_attentions=True).attentions[-1]
    for hook in hooks:
        hook.remove()
    return kept["x"], attention, kept["keys"]


def pooling_head(reference, weights, x):
    """Attention of the probe, mean over heads, and the frame's vector."""
    head = SiglipMultiheadAttentionPoolingHead(reference.config.vision_config).eval()
    head.load_state_dict({name: value.float() for name, value in weights.items()})
    with torch.no_grad():
        normed = reference.model.vision_tower.post_layernorm(x)
        _, attention = head.attention(head.probe.repeat(len(x), 1, 1), normed, normed)
        return attention[:, 0], head(normed)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("fixtures", type=pathlib.Path, help="the folder that holds micro-hf and micro-sharded")
    options = parser.parse_args()
    weights = {name: storable(value) for name, value in head_weights(np.random.default_rng(SEED))}
    write_head(options.fixtures, weights)
    resized = np.stack([np.asarray(Image.fromarray(frame(t)).resize((SIZE, SIZE), Image.BICUBIC)) for t in range(T)])
    pixels = pixel_values(resized)
    plain = tower(with_heads(options.fixtures / "micro-hf", 1), pixels)
    reference = with_heads(options.fixtures / "micro-hf", HEADS)
    x, attention, keys = tower(reference, pixels)
    sal, kv = attention.mean(dim=(1, 2)), keys.view(T, -1, HEADS, VISION // HEADS).mean(dim=2)
    probe, vector = pooling_head(reference, weights, x)
    tensors = {"one_head.sal": plain[1].mean(dim=(1, 2)), "X": x[:, PATCHES], "sal": sal, "keys": keys[:, PATCHES], "kv": kv[:, PATCHES],
               "probe": probe, "frame": vector, "pool.sal": pool(sal[..., None], "bilinear")[..., 0],
               "pool.probe": pool(probe[..., None], "bilinear")[..., 0], "pool.kv_every_4th_row": pool(kv, "bilinear")[:, ::4]}
    save_file({name: np.ascontiguousarray(value.detach().numpy()) for name, value in tensors.items()},
              options.fixtures / "micro-head" / "side.safetensors")
    write_json(options.fixtures / "micro-head" / "versions.json", versions())


if __name__ == "__main__":
    main()
