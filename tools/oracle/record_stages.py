"""Records the truth of every stage of the micro model on a fixed two-frame video: stages.safetensors and stages.json.

The model is read from micro-hf by transformers (f32, eager attention); micro's own tokenizer and generation_config are used as the
original code uses them. What is recorded is described in tests/fixtures/micro/README.md.

    python record_stages.py ../../tests/fixtures [--upstream LLaVA-NeXT/llava/model/llava_arch.py]

With --upstream the original get_2dPool and add_token_per_* are run from that file and must agree; nothing of it is stored.
"""

import argparse
import copy
import hashlib
import json
import math
import pathlib
import re

import numpy as np
import torch
import transformers
from PIL import Image
from safetensors.numpy import save_file
from safetensors.torch import load_file
from tokenizers import Tokenizer

import micro_text
from pictures import frame
from reference import (load_reference, outputs_of, pixel_values, versions, vision_embeddings, vision_features, vision_layers)

T, SIZE, SIDE, GRID, WIDTH, NEW_IDS = 2, 108, 27, 14, 64, 24
PATCHES = [0, 1, 26, 27, 100, 364, 365, 500, 701, 702, 727, 728]
POSITIONS = [0, 1, 2, 13, 100, 419, 13440, 20000, 32767]
THRESHOLDS = [0.4, 0.5, 0.6, 0.7]
QUESTIONS = {
    "choice": "What is the color of the ball?\nA. Red\nB. Green\nC. Blue\nD. Yellow\n"
              "Answer with the option's letter from the given choices directly.",
    "describe": "Describe the video.",
    "detail": "Please describe the woman in detail.",
}


# ---- pooling, markers, DynTok ---------------------------------------------------------------------------------------------------

def pool(features, mode):
    """[T][729][c] -> [T][h][w][c]"""
    grid = features.view(T, SIDE, SIDE, -1).permute(0, 3, 1, 2)
    if mode == "bilinear":
        grid = torch.nn.functional.interpolate(grid, size=(GRID, GRID), mode="bilinear")
    else:
        grid = {"average": torch.nn.functional.avg_pool2d, "max": torch.nn.functional.max_pool2d}[mode](grid, 2)
    return grid.permute(0, 2, 3, 1).contiguous()


def with_newlines(h, newline, position):
    """[T][h][w][c] -> [rows][c]"""
    frames, side, _, width = h.shape
    if position == "grid":
        return torch.cat([h, newline.expand(frames, side, 1, width)], dim=2).reshape(-1, width)
    if position == "frame":
        return torch.cat([h.reshape(frames, -1, width), newline.expand(frames, 1, width)], dim=1).reshape(-1, width)
    flat = h.reshape(-1, width)
    return torch.cat([flat, newline[None]]) if position == "one_token" else flat


def neighbour_cosines(x):
    """[T][14][14][dx] -> [T][14][13], in f64"""
    x = x.astype(np.float64)
    norm = np.linalg.norm(x, axis=-1)
    return (x[:, :, :-1] * x[:, :, 1:]).sum(-1) / np.maximum(norm[:, :, :-1] * norm[:, :, 1:], 1e-8)


def dyntok_groups(cosines, threshold):
    """Lengths of the groups of each row: [T][14][...]"""
    def row(values):
        lengths = [1]
        for value in values:
            if value > threshold:
                lengths[-1] += 1
            else:
                lengths.append(1)
        return lengths
    return [[row(values) for values in picture] for picture in cosines]


def dyntok_rows(h, newline, groups):
    """Group means, a newline after each row."""
    rows = []
    for t, picture in enumerate(groups):
        for y, lengths in enumerate(picture):
            ends = np.cumsum(lengths)
            rows += [h[t, y, end - n:end].mean(dim=0) for n, end in zip(lengths, ends)] + [newline]
    return torch.stack(rows)


# ---- the language model ----------------------------------------------------------------------------------------------------------

def language_model(reference, vocab):
    """Qwen2 with its rows past the tokenizer dropped, as the original loader drops them."""
    config = copy.deepcopy(reference.config.text_config)
    config.tie_word_embeddings = True
    model = transformers.Qwen2ForCausalLM._from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
    model.model.load_state_dict(reference.model.language_model.state_dict())
    model.tie_weights()
    model.resize_token_embeddings(vocab)
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()
    return model


def untied(model, head, vocab):
    """The same with a head of its own."""
    config = type(model.config)(**{**model.config.to_dict(), "tie_word_embeddings": False})
    other = transformers.Qwen2ForCausalLM._from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
    other.model.load_state_dict(model.model.state_dict())
    other.lm_head.weight.data.copy_(head[:vocab].float())
    return other


class Speaker:
    """Prompts of text and visual rows, and greedy replies."""

    def __init__(self, model, tokenizer, end_ids):
        self.model, self.tokenizer, self.end_ids = model, tokenizer, end_ids

    def prompt_ids(self, question):
        """Text ids before and behind the visual rows, each part tokenized by itself."""
        parts = micro_text.CHATML.replace("{question}", question).split("<image>")
        return [self.tokenizer.encode(part).ids for part in parts]

    def splice(self, question, visual):
        before, after = (self.model.model.embed_tokens(torch.tensor(ids)) for ids in self.prompt_ids(question))
        return torch.cat([before, visual, after])

    def reply(self, question, visual, penalty, end_ids=None):
        rows = self.splice(question, visual)
        with torch.no_grad():
            out = self.model.generate(
                inputs_embeds=rows[None], attention_mask=torch.ones(1, len(rows), dtype=torch.long), do_sample=False,
                max_new_tokens=NEW_IDS, repetition_penalty=penalty, eos_token_id=end_ids or self.end_ids, pad_token_id=self.end_ids[-1],
                return_dict_in_generate=True, output_scores=True)
        best = torch.stack(out.scores)[:, 0].topk(2, dim=-1).values
        ids = out.sequences[0].tolist()
        return {"rows": len(rows), "ids": ids, "text": self.tokenizer.decode(ids, skip_special_tokens=True).strip(),
                "least_margin": round((best[:, 0] - best[:, 1]).min().item(), 5)}


# ---- checks of the reference against itself ----------------------------------------------------------------------------------------

def check_tower(reference, pixels, x, h):
    """X is the third layer's output, unnormed; project, then pool; tanh GELU inside, erf GELU outside."""
    layers = vision_layers(reference)
    assert len(layers) == 3 and pixels.shape == (T, 3, SIZE, SIZE)
    assert reference.config.vision_config.hidden_act == "gelu_pytorch_tanh" and reference.config.projector_hidden_act == "gelu"
    with torch.no_grad():
        theirs = reference.get_video_features(pixels[None], vision_feature_layer=-1, vision_feature_select_strategy="full")
        normed = reference.model.vision_tower.post_layernorm(x)
    theirs = theirs.pooler_output.reshape(-1, WIDTH)
    ours = with_newlines(h, reference.model.image_newline, "one_token")
    assert torch.allclose(theirs, ours, atol=1e-5), (theirs - ours).abs().max()
    assert not torch.allclose(normed, x, atol=0.1)


def check_whole(reference, tokenizer, speaker, pixels, expected, question):
    """transformers' own pixels-to-text path gives the one_token reply of the pieces."""
    video = reference.config.video_token_index
    before, after = speaker.prompt_ids(question)
    ids = torch.tensor([before + [video] * (T * GRID * GRID + 1) + after])
    with torch.no_grad():
        out = reference.generate(input_ids=ids, pixel_values_videos=pixels[None], attention_mask=torch.ones_like(ids), do_sample=False,
                                 max_new_tokens=NEW_IDS, eos_token_id=speaker.end_ids[:1], pad_token_id=speaker.end_ids[-1],
                                 suppress_tokens=list(range(tokenizer.get_vocab_size(), reference.config.text_config.vocab_size)))
    assert out[0, ids.shape[1]:].tolist() == expected["ids"], (out[0, ids.shape[1]:].tolist(), expected["ids"])


def check_upstream(path, p, newline):
    """The original pooling and newline code, run from its own file, agrees."""
    text = pathlib.Path(path).read_text()
    text = re.search(r"class LlavaMetaForCausalLM.*?(?=\n    def prepare_inputs_labels)", text, re.S).group()
    space = {"torch": torch, "nn": torch.nn, "math": math, "ABC": object, "abstractmethod": lambda method: method}
    exec(compile(text, str(path), "exec"), space)

    class Config:
        mm_spatial_pool_mode = "bilinear"

    class Upstream(space["LlavaMetaForCausalLM"]):
        config = Config()
        model = type("Model", (), {"image_newline": newline})()

        def get_vision_tower(self):
            return type("Tower", (), {"num_patches_per_side": SIDE})()

    upstream = Upstream()
    for mode in "average", "max", "bilinear":
        Config.mm_spatial_pool_mode = mode
        theirs, ours = upstream.get_2dPool(p), pool(p, mode)
        assert torch.equal(theirs, ours.reshape(theirs.shape)), mode
        assert torch.equal(upstream.add_token_per_grid(theirs), with_newlines(ours, newline, "grid")), mode
        assert torch.equal(upstream.add_token_per_frame(theirs).flatten(0, 1), with_newlines(ours, newline, "frame")), mode
    print("upstream pooling and newlines agree exactly")


# ---- recording -------------------------------------------------------------------------------------------------------------------

def record_vision(reference, pixels, tensors):
    modules = [vision_embeddings(reference), *vision_layers(reference)]
    stages = outputs_of(modules, lambda: reference.model.vision_tower(pixels))
    for name, value in zip(["vision.embed", "vision.layer0", "vision.layer1", "vision.layer2"], stages):
        tensors[name] = value[:, PATCHES]
    x = stages[-1]
    assert torch.equal(x, vision_features(reference, pixels))
    with torch.no_grad():
        p = reference.model.multi_modal_projector(x)
    tensors["vision.X_frame0"] = x[0]
    tensors["project.P"] = p[:, PATCHES]
    tensors["pool.X_bilinear"] = pool(x, "bilinear")
    for mode in "bilinear", "average", "max":
        h = pool(p, mode)
        tensors[f"pool.H_{mode}"] = h if mode == "bilinear" else h[:, ::4]
    return x, p


def record_language(speaker, visual, tensors):
    """Hidden rows after each layer, the final norm and the last logits, for the choice prompt in the grid layout."""
    model = speaker.model
    rows = speaker.splice(QUESTIONS["choice"], visual)
    modules = [*model.model.layers, model.model.norm, model.lm_head]
    hidden = outputs_of(modules, lambda: model(inputs_embeds=rows[None], use_cache=False))
    chosen = sorted({0, 1, 13, 14, 15, 28, 29, 200, 433, 434, *range(len(rows) - 8, len(rows))})
    for i in range(3):
        tensors[f"language.layer{i}"] = hidden[i][0, chosen]
    tensors["language.norm"] = hidden[3][0, chosen]
    tensors["language.logits"] = hidden[4][0, -1]
    positions = torch.tensor([POSITIONS])
    cos, sin = model.model.rotary_emb(rows, positions)
    tensors["rope.cos"], tensors["rope.sin"] = cos[0, :, :8], sin[0, :, :8]
    return {"question": "choice", "layout": "grid", "rows": len(rows), "recorded_rows": chosen}


def record_dyntok(h, newline, tensors):
    """Cosines and, per threshold, group lengths and merged rows."""
    cosines = neighbour_cosines(tensors["pool.X_bilinear"].numpy())
    tensors["dyntok.cosines"] = torch.from_numpy(cosines.astype(np.float32))
    found, visuals = {}, {}
    for threshold in THRESHOLDS:
        groups = dyntok_groups(cosines, threshold)
        visual = visuals[threshold] = dyntok_rows(h, newline, groups)
        assert len(visual) == sum(len(row) for picture in groups for row in picture) + T * GRID
        tensors[f"dyntok.rows_{threshold}"] = visual
        found[str(threshold)] = {"groups": groups, "tokens": len(visual), "ratio": round(len(visual) / (T * GRID * (GRID + 1)), 4),
                                 "content_ratio": round((len(visual) - T * GRID) / (T * GRID * GRID), 4),
                                 "least_margin": round(float(abs(cosines - threshold).min()), 6)}
    return found, visuals


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("fixtures", type=pathlib.Path, help="the folder that holds micro, micro-untied and micro-hf")
    parser.add_argument("--upstream", help="llava_arch.py of LLaVA-NeXT, to be held against pooling and newlines")
    options = parser.parse_args()
    micro = options.fixtures / "micro"
    tokenizer = Tokenizer.from_file(str(micro / "tokenizer.json"))
    generation = json.loads((micro / "generation_config.json").read_text())
    penalty, end_ids, vocab = generation["repetition_penalty"], generation["eos_token_id"], tokenizer.get_vocab_size()
    reference = load_reference(options.fixtures / "micro-hf")

    sources = np.stack([frame(t) for t in range(T)])
    resized = np.stack([np.asarray(Image.fromarray(picture).resize((SIZE, SIZE), Image.BICUBIC)) for picture in sources])
    pixels = pixel_values(resized)
    tensors = {"frames.resized": torch.from_numpy(resized)}
    x, p = record_vision(reference, pixels, tensors)
    h, newline = tensors["pool.H_bilinear"], reference.model.image_newline.detach()
    check_tower(reference, pixels, x, h)
    if options.upstream:
        check_upstream(options.upstream, p, newline)

    speaker = Speaker(language_model(reference, vocab), tokenizer, end_ids)
    language = record_language(speaker, with_newlines(h, newline, "grid"), tensors)
    dyntok, merged = record_dyntok(h, newline, tensors)
    layouts = {name: with_newlines(h, newline, name) for name in ("grid", "frame", "one_token", "no_token")}
    greedy = {name: {key: speaker.reply(question, visual, penalty) for key, question in QUESTIONS.items()}
              for name, visual in layouts.items()}
    for threshold, visual in merged.items():
        dyntok[str(threshold)]["greedy"] = {key: speaker.reply(question, visual, penalty) for key, question in QUESTIONS.items()}
    plain = {key: speaker.reply(question, layouts["one_token"], 1.0, end_ids[:1]) for key, question in QUESTIONS.items()}
    check_whole(reference, tokenizer, speaker, pixels, plain["describe"], QUESTIONS["describe"])
    head = load_file(options.fixtures / "micro-untied" / "lm_head.safetensors")["lm_head.weight"]
    other = Speaker(untied(speaker.model, head, vocab), tokenizer, end_ids)

    save_file({name: np.ascontiguousarray(value.detach().numpy()) for name, value in tensors.items()}, micro / "stages.safetensors")
    facts = {
        "versions": versions(),
        "source_sha256": [hashlib.sha256(picture.tobytes()).hexdigest() for picture in sources],
        "patches": PATCHES, "positions": POSITIONS, "vocab": vocab,
        "prompts": {key: {"question": question, "ids": speaker.prompt_ids(question)} for key, question in QUESTIONS.items()},
        "language": language, "new_ids": NEW_IDS, "penalty": penalty, "greedy": greedy, "dyntok": dyntok,
        "hf_greedy": plain, "untied_greedy": {key: other.reply(QUESTIONS[key], layouts["grid"], penalty) for key in QUESTIONS},
    }
    text = json.dumps(facts, indent=1, ensure_ascii=False)
    text = re.sub(r"\[[\d\s,]+\]", lambda match: re.sub(r"\s+", " ", match.group()), text)
    (micro / "stages.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
