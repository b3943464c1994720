"""The reference implementations behind one door: transformers' LLaVA-OneVision in f32 with eager attention."""

import platform

import numpy as np
import PIL
import safetensors
import tokenizers
import torch
import transformers

RENAMES = [("model.vision_tower.vision_tower.", "vision_tower."), ("model.mm_projector.0.", "multi_modal_projector.linear_1."),
           ("model.mm_projector.2.", "multi_modal_projector.linear_2."), ("model.image_newline", "image_newline"),
           ("lm_head.", "language_model.lm_head."), ("model.", "language_model.model.")]


def rename_to_hf(name):
    """Original tensor name -> the one llava-hf published with transformers 4.45."""
    old, new = next(pair for pair in RENAMES if name.startswith(pair[0]))
    return new + name[len(old):]


def load_reference(folder):
    """The model of a llava-hf folder. Any tensor missing, left over or of another shape is an error."""
    model, info = transformers.LlavaOnevisionForConditionalGeneration.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    problems = {key: value for key, value in info.items() if value and key != "missing_keys"}
    missing = set(info["missing_keys"]) - {"lm_head.weight"}
    if problems or missing:
        raise SystemExit(f"{folder}: transformers did not load it whole: {problems} {missing}")
    return model.eval()


def pixel_values(frames):
    """u8 [T][h][w][3] of the tower's own size -> f32 [T][3][h][w], as the original processor does: x 1/255 in f64, then f32."""
    scaled = (frames.astype(np.float64) * (1 / 255)).astype(np.float32)
    return torch.from_numpy(((scaled - np.float32(0.5)) / np.float32(0.5)).transpose(0, 3, 1, 2).copy())


def vision_layers(model):
    tower = model.model.vision_tower
    return getattr(tower, "vision_model", tower).encoder.layers


def vision_embeddings(model):
    tower = model.model.vision_tower
    return getattr(tower, "vision_model", tower).embeddings


def outputs_of(modules, call):
    """What each module returned while `call()` ran. Hooks, because an output list may hold a normed last state."""
    kept = [None] * len(modules)

    def keep(i):
        def hook(_module, _inputs, output):
            kept[i] = (output[0] if isinstance(output, tuple) else output).detach().clone()
        return hook

    handles = [module.register_forward_hook(keep(i)) for i, module in enumerate(modules)]
    with torch.no_grad():
        call()
    for handle in handles:
        handle.remove()
    return kept


def vision_features(model, pixels):
    """X: the last stored layer's own output, without post_layernorm; [T][n][dx]."""
    return torch.cat([outputs_of([vision_layers(model)[-1]], lambda part=part: model.model.vision_tower(part))[0]
                      for part in pixels.split(16)])


def versions():
    return {"python": platform.python_version(), "torch": torch.__version__, "transformers": transformers.__version__,
            "tokenizers": tokenizers.__version__, "numpy": np.__version__, "pillow": PIL.__version__,
            "safetensors": safetensors.__version__}
