"""The model in PyTorch, f32: SigLIP's tower, LLaVA's projector, Qwen2. Parameters have the names of the lmms-lab layout.

Shapes: A for a GPU, C for a CPU. Both see 112 x 112 pixels as 14 x 14 patches, the grid of the published models after pooling.
"""

import dataclasses
import json
import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

import codes

TOWER = "model.vision_tower.vision_tower.vision_model"


@dataclasses.dataclass(frozen=True)
class Shape:
    vision_width: int
    vision_layers: int
    vision_heads: int
    vision_ff: int
    width: int
    layers: int
    heads: int
    kv_heads: int
    ff: int
    image: int = 112
    patch: int = 8
    eps: float = 1e-6
    theta: float = 1e6

    @property
    def side(self):
        return self.image // self.patch


SHAPES = {"A": Shape(128, 4, 4, 512, 128, 4, 4, 2, 512), "C": Shape(96, 4, 3, 384, 128, 4, 4, 2, 384)}
SHAPES["C3"] = dataclasses.replace(SHAPES["C"], layers=3)  # an assistant's


class VisionLayer(nn.Module):
    def __init__(self, s):
        super().__init__()
        d = s.vision_width
        self.heads = s.vision_heads
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(d, s.eps), nn.LayerNorm(d, s.eps)
        self.self_attn = nn.ModuleDict({name: nn.Linear(d, d) for name in ("q_proj", "k_proj", "v_proj", "out_proj")})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(d, s.vision_ff), "fc2": nn.Linear(s.vision_ff, d)})

    def forward(self, x):
        h = self.layer_norm1(x)
        q, k, v = (self.self_attn[name](h).unflatten(-1, (self.heads, -1)).transpose(1, 2) for name in ("q_proj", "k_proj", "v_proj"))
        x = x + self.self_attn["out_proj"](F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return x + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.layer_norm2(x)), approximate="tanh"))


class Tower(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.patch = s.patch
        self.patch_embedding = nn.Conv2d(3, s.vision_width, s.patch, s.patch)
        self.position_embedding = nn.Parameter(0.02 * torch.randn(s.side ** 2, s.vision_width))
        self.layers = nn.ModuleList(VisionLayer(s) for _ in range(s.vision_layers))

    def forward(self, rgb):
        """X [n][196][width] of u8 frames [n][112][112][3]: the last layer's own output, no norm after it."""
        pixels = (rgb.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
        x = self.patch_embedding(pixels).flatten(2).transpose(1, 2) + self.position_embedding
        for layer in self.layers:
            x = layer(x)
        return x


def rope(positions, head_dim, theta):
    angles = positions[..., None].float() * theta ** (-torch.arange(0, head_dim, 2, device=positions.device) / head_dim)
    return torch.cat([angles.cos()] * 2, -1)[:, None], torch.cat([angles.sin()] * 2, -1)[:, None]


def rotate(x, cos, sin):
    low, high = x.chunk(2, -1)
    return x * cos + torch.cat([-high, low], -1) * sin


class LanguageLayer(nn.Module):
    def __init__(self, s):
        super().__init__()
        d, hd = s.width, s.width // s.heads
        self.heads, self.kv_heads = s.heads, s.kv_heads
        self.input_layernorm, self.post_attention_layernorm = nn.RMSNorm(d, s.eps), nn.RMSNorm(d, s.eps)
        self.self_attn = nn.ModuleDict({"q_proj": nn.Linear(d, d), "k_proj": nn.Linear(d, s.kv_heads * hd),
                                        "v_proj": nn.Linear(d, s.kv_heads * hd), "o_proj": nn.Linear(d, d, bias=False)})
        self.mlp = nn.ModuleDict({"gate_proj": nn.Linear(d, s.ff, bias=False), "up_proj": nn.Linear(d, s.ff, bias=False),
                                  "down_proj": nn.Linear(s.ff, d, bias=False)})

    @torch.no_grad()
    def begin(self):
        """Heads begin by looking at what is like them, and by copying it (mimetic initialisation, arXiv 2305.09828): who asks for a star
        finds stars, and what else is known of them, thousands of steps sooner."""
        d, shared = self.self_attn["q_proj"].in_features, self.heads // self.kv_heads
        for name in ("k_proj", "v_proj"):
            nn.init.normal_(self.self_attn[name].weight, std=d ** -0.5)
        k, v = (self.self_attn[name].weight.unflatten(0, (self.kv_heads, -1)).repeat_interleave(shared, 0).flatten(0, 1)
                for name in ("k_proj", "v_proj"))
        self.self_attn["q_proj"].weight.copy_(k + 0.5 * d ** -0.5 * torch.randn_like(k))
        self.self_attn["o_proj"].weight.copy_(0.5 * v.T + 0.02 * torch.randn_like(v))
        nn.init.normal_(self.mlp["down_proj"].weight, std=0.02)

    def forward(self, x, cos, sin, mask):
        h = self.input_layernorm(x)
        q = rotate(self.self_attn["q_proj"](h).unflatten(-1, (self.heads, -1)).transpose(1, 2), cos, sin)
        k = rotate(self.self_attn["k_proj"](h).unflatten(-1, (self.kv_heads, -1)).transpose(1, 2), cos, sin)
        v = self.self_attn["v_proj"](h).unflatten(-1, (self.kv_heads, -1)).transpose(1, 2)
        k, v = (t.repeat_interleave(self.heads // self.kv_heads, 1) for t in (k, v))
        n = x.shape[1] - mask.shape[2]  # of what comes before the rows that a mask is for: nothing is hidden from it but what follows
        seen = F.scaled_dot_product_attention(q[:, :, :n], k[:, :, :n], v[:, :, :n], is_causal=True)
        told = F.scaled_dot_product_attention(q[:, :, n:], k, v, attn_mask=mask)
        x = x + self.self_attn["o_proj"](torch.cat([seen, told], 2).transpose(1, 2).flatten(2))
        h = self.post_attention_layernorm(x)
        return x + self.mlp["down_proj"](F.silu(self.mlp["gate_proj"](h)) * self.mlp["up_proj"](h))


class Model(nn.Module):
    """fused: with the module of Token Dynamics."""

    def __init__(self, shape, vocab, fused=False):
        super().__init__()
        self.shape = shape
        self.tower = Tower(shape)
        self.projector = nn.Sequential(nn.Linear(shape.vision_width, shape.width), nn.GELU(), nn.Linear(shape.width, shape.width))
        self.image_newline = nn.Parameter(0.3 * torch.randn(shape.width))
        self.embed_tokens = nn.Embedding(vocab, shape.width)
        nn.init.normal_(self.embed_tokens.weight, std=0.1)
        self.layers = nn.ModuleList(LanguageLayer(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, shape.eps)
        for layer in self.layers:
            layer.begin()
        if fused:
            self.cross_attention = codes.Fusion(shape.side ** 2, shape.width)

    def begin_as(self, kept):
        """Takes the weights of a model that may have more layers and no fusion: of layers, as many as there are, evenly spread."""
        theirs = 1 + max(int(name.split(".")[1]) for name in kept if name.startswith("layers."))
        taken = {f"layers.{i}.": f"layers.{i * theirs // len(self.layers)}." for i in range(len(self.layers))}
        state = self.state_dict()
        for name in state:
            own = next((layer for layer in taken if name.startswith(layer)), "")
            if not name.startswith("cross_attention."):
                state[name] = kept[taken.get(own, "") + name[len(own):]]
        self.load_state_dict(state)

    def language(self, rows, positions, mask):
        """Hidden states of embedded rows [b][n][d] at positions [b][n]: halfway through the layers, before the last, final-norm'ed. Rows
        look at themselves and those before; the last m of them where mask [b][1][m][n] is true."""
        cos, sin = rope(positions, self.shape.width // self.shape.heads, self.shape.theta)
        states = []
        for layer in self.layers:
            rows = layer(rows, cos, sin, mask)
            states.append(rows)
        return states[(len(states) + 1) // 2 - 1], states[-2], self.norm(rows)

    def logits(self, hidden):
        return hidden @ self.embed_tokens.weight.T


# ---- checkpoint folders ---------------------------------------------------------------------------------------------------------

def published_names(model):
    """(published name, tensor) of all that a checkpoint holds."""
    own = [("tower.patch_embedding.", f"{TOWER}.embeddings.patch_embedding."),
           ("tower.position_embedding", f"{TOWER}.embeddings.position_embedding.weight"), ("tower.layers.", f"{TOWER}.encoder.layers."),
           ("projector.", "model.mm_projector."), ("", "model.")]
    for name, tensor in model.state_dict().items():
        before, after = next(pair for pair in own if name.startswith(pair[0]))
        yield after + name[len(before):], tensor


def config(shape, vocab, tokenizer):
    end = tokenizer.token_to_id("<|im_end|>")
    return {"architectures": ["LlavaQwenForCausalLM"], "model_type": "llava", "hidden_size": shape.width, "intermediate_size": shape.ff,
            "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads, "num_key_value_heads": shape.kv_heads,
            "vocab_size": vocab, "rope_theta": shape.theta, "rope_scaling": None, "rms_norm_eps": shape.eps, "hidden_act": "silu",
            "attention_dropout": 0.0, "max_position_embeddings": 32768, "tie_word_embeddings": True, "use_sliding_window": False,
            "bos_token_id": tokenizer.token_to_id("<|endoftext|>"), "eos_token_id": end, "torch_dtype": "bfloat16",
            "tokenizer_model_max_length": 32768, "tokenizer_padding_side": "right", "mm_vision_tower": "tinyworld",
            "mm_hidden_size": shape.vision_width, "mm_vision_select_layer": -2, "mm_vision_select_feature": "patch",
            "mm_projector_type": "mlp2x_gelu", "mm_patch_merge_type": "spatial_unpad", "image_aspect_ratio": "pad",
            "mm_spatial_pool_mode": "none", "mm_newline_position": "grid", "mm_resampler_type": None, "mm_use_im_start_end": False,
            "mm_use_im_patch_token": False, "add_faster_video": False,
            "vision_config": {"image_size": shape.image, "patch_size": shape.patch, "hidden_size": shape.vision_width,
                              "num_attention_heads": shape.vision_heads, "intermediate_size": shape.vision_ff,
                              "num_hidden_layers": shape.vision_layers, "layer_norm_eps": shape.eps, "hidden_act": "gelu_pytorch_tanh"}}


def export(model, tokenizer, folder):
    """The published layout: bf16 safetensors, tokenizer.json, config and generation_config."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.to(torch.bfloat16).contiguous() for name, tensor in published_names(model)}, folder / "model.safetensors",
              metadata={"format": "pt"})
    end, pad = tokenizer.token_to_id("<|im_end|>"), tokenizer.token_to_id("<|endoftext|>")
    written = {"config.json": config(model.shape, model.embed_tokens.num_embeddings, tokenizer),
               "generation_config.json": {"bos_token_id": pad, "eos_token_id": [end, pad], "pad_token_id": pad}}
    for name, value in written.items():
        (folder / name).write_text(json.dumps(value, indent=2) + "\n")
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)


def load(folder):
    """The model of a checkpoint folder that export() made, in f32."""
    tensors = load_file(pathlib.Path(folder) / "model.safetensors")
    facts = json.loads((pathlib.Path(folder) / "config.json").read_text())
    vision = facts["vision_config"]
    shape = Shape(vision["hidden_size"], vision["num_hidden_layers"], vision["num_attention_heads"], vision["intermediate_size"],
                  facts["hidden_size"], facts["num_hidden_layers"], facts["num_attention_heads"], facts["num_key_value_heads"],
                  facts["intermediate_size"], vision["image_size"], vision["patch_size"])
    model = Model(shape, facts["vocab_size"], any(name.startswith("model.cross_attention.") for name in tensors))
    state = model.state_dict()
    model.load_state_dict({own: tensors[name].float() for own, (name, _) in zip(state, published_names(model))})
    return model.eval()
