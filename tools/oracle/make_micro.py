"""Makes the micro checkpoints under tests/fixtures: tiny models in the published layouts, seeded.

The vision tower and the projector are random: zero-mean filters on a common bias, so that flat neighbours look alike and busy ones do
not. The language model starts random and is fitted for a minute to random targets (a letter, or a sentence, picked by random
projections of the visual features), so that greedy text is readable, begins with a letter where one is asked for, and depends on the
picture. It knows nothing; any benchmark reads chance.

    python make_micro.py ../../tests/fixtures
"""

import argparse
import json
import pathlib
import tempfile

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

import micro_text
from pictures import random_picture
from reference import load_reference, pixel_values, rename_to_hf, versions, vision_features

SEED = 20240607
IMAGE, PATCH, SIDE = 108, 4, 27
VISION, VISION_FF, VISION_LAYERS = 72, 112, 3
WIDTH, FF, LAYERS, HEADS, KV_HEADS, HEAD = 64, 96, 3, 4, 2, 16
PADDING_ROWS = 8
QWEN_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
VISION_NUMBERS = {"image_size": IMAGE, "patch_size": PATCH, "hidden_size": VISION, "num_attention_heads": 1,
                  "intermediate_size": VISION_FF, "num_hidden_layers": VISION_LAYERS, "layer_norm_eps": 1e-6,
                  "hidden_act": "gelu_pytorch_tanh"}


# ---- tokenizer ------------------------------------------------------------------------------------------------------------------

LMMS_ADDED = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>"]
HF_ADDED = LMMS_ADDED + ["<video>"]


def make_tokenizer():
    """Byte-level BPE in Qwen2's file format: 256 bytes, 336 merges, then the added tokens."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=False))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(QWEN_SPLIT), "isolated"),
                                                       pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.train_from_iterator(micro_text.corpus(np.random.default_rng(SEED)), trainers.BpeTrainer(
        vocab_size=592, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    return with_added(tokenizer, LMMS_ADDED)


def with_added(tokenizer, texts):
    """A copy that knows these added tokens as well."""
    tokenizer = Tokenizer.from_str(tokenizer.to_str())
    tokenizer.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in texts])
    return tokenizer


# ---- weights --------------------------------------------------------------------------------------------------------------------

def linear(rng, out, n_in, gain, bias=0.0):
    return (rng.standard_normal((out, n_in)) * gain / np.sqrt(n_in), rng.standard_normal(out) * bias)


def patch_filters(rng):
    """Filters without mean, so that only what changes inside a patch counts, plus weak colour filters."""
    filters = rng.standard_normal((VISION, 3, PATCH, PATCH))
    filters -= filters.mean(axis=(2, 3), keepdims=True)
    return 0.9 * filters + 0.07 * rng.standard_normal((VISION, 3, 1, 1))


def vision_weights(rng):
    root = "model.vision_tower.vision_tower.vision_model."
    yield root + "embeddings.patch_embedding.weight", patch_filters(rng)
    yield root + "embeddings.patch_embedding.bias", 0.5 * rng.standard_normal(VISION)
    yield root + "embeddings.position_embedding.weight", 0.1 * rng.standard_normal((SIDE * SIDE, VISION))
    for j in range(VISION_LAYERS):
        layer = f"{root}encoder.layers.{j}."
        shapes = {"self_attn.q_proj": (VISION, VISION, 1.2), "self_attn.k_proj": (VISION, VISION, 1.2),
                  "self_attn.v_proj": (VISION, VISION, 1.0), "self_attn.out_proj": (VISION, VISION, 0.4),
                  "mlp.fc1": (VISION_FF, VISION, 1.0), "mlp.fc2": (VISION, VISION_FF, 0.4)}
        for norm in "layer_norm1", "layer_norm2":
            yield f"{layer}{norm}.weight", 1 + 0.1 * rng.standard_normal(VISION)
            yield f"{layer}{norm}.bias", 0.05 * rng.standard_normal(VISION)
        for name, (out, n_in, gain) in shapes.items():
            weight, bias = linear(rng, out, n_in, gain, 0.05)
            yield f"{layer}{name}.weight", weight
            yield f"{layer}{name}.bias", bias
    yield root + "post_layernorm.weight", 1 + 0.3 * rng.standard_normal(VISION)
    yield root + "post_layernorm.bias", 0.3 * rng.standard_normal(VISION)
    for i, n_in in (0, VISION), (2, WIDTH):
        weight, bias = linear(rng, WIDTH, n_in, 1.3, 0.1)
        yield f"model.mm_projector.{i}.weight", weight
        yield f"model.mm_projector.{i}.bias", bias
    yield "model.image_newline", rng.standard_normal(WIDTH)


def language_weights(rng, vocab):
    yield "model.embed_tokens.weight", 0.3 * rng.standard_normal((vocab, WIDTH))
    for i in range(LAYERS):
        layer = f"model.layers.{i}."
        for norm in "input_layernorm", "post_attention_layernorm":
            yield f"{layer}{norm}.weight", 1 + 0.1 * rng.standard_normal(WIDTH)
        for name, out in ("q", WIDTH), ("k", KV_HEADS * HEAD), ("v", KV_HEADS * HEAD):
            weight, bias = linear(rng, out, WIDTH, 1.0, 0.1)
            yield f"{layer}self_attn.{name}_proj.weight", weight
            yield f"{layer}self_attn.{name}_proj.bias", bias
        for name, out, n_in, gain in (("self_attn.o_proj", WIDTH, WIDTH, 0.5), ("mlp.gate_proj", FF, WIDTH, 1.0),
                                      ("mlp.up_proj", FF, WIDTH, 1.0), ("mlp.down_proj", WIDTH, FF, 0.5)):
            yield f"{layer}{name}.weight", linear(rng, out, n_in, gain)[0]
    yield "model.norm.weight", 1 + 0.1 * rng.standard_normal(WIDTH)


def storable(value):
    """bf16 with exponents that f16 has as well, so that both layouts hold equal numbers."""
    value = torch.as_tensor(value, dtype=torch.float32).to(torch.bfloat16)
    return torch.where(value.abs() < 2.0 ** -17, torch.zeros_like(value), value)


# ---- fitting --------------------------------------------------------------------------------------------------------------------

def bilinear_pool(features):
    grid = features.view(-1, SIDE, SIDE, features.shape[-1]).permute(0, 3, 1, 2)
    return torch.nn.functional.interpolate(grid, size=(14, 14), mode="bilinear").permute(0, 2, 3, 1)


class Task:
    """Prompts with random pictures, and answers that random projections of the visual rows pick."""

    def __init__(self, model, tokenizer, rng, pictures=384):
        self.rng, self.tokenizer, self.newline = rng, tokenizer, model.model.image_newline.detach()
        frames = np.stack([random_picture(rng, IMAGE) for _ in range(pictures)])
        with torch.no_grad():
            x = vision_features(model, pixel_values(frames))
            self.h = bilinear_pool(model.model.multi_modal_projector(x))
        x = bilinear_pool(x)
        self.cosines = torch.nn.functional.cosine_similarity(x[:, :, :-1], x[:, :, 1:], dim=-1)
        self.embed = model.model.language_model.embed_tokens
        means = self.h.mean(dim=(1, 2))
        self.centre, self.spread = means.mean(0), means.std(0)
        self.targets = torch.as_tensor(rng.standard_normal((WIDTH, 4 + 6 * 8)), dtype=torch.float32)
        before, after = micro_text.CHATML.split("<image>")
        self.before = self.ids(before)
        self.after = after

    def ids(self, text):
        return torch.tensor(self.tokenizer.encode(text).ids)

    def visual_rows(self, pictures):
        """One of three layouts, so that none is strange to the model: one_token, grid, and rows merged by DynTok."""
        h = self.h[pictures]
        line = self.newline.expand(*h.shape[:2], 1, WIDTH)
        layout = self.rng.integers(4)
        if layout == 0:
            return torch.cat([h.reshape(-1, WIDTH), self.newline[None]])
        if layout == 1:
            return torch.cat([h, line], dim=2).reshape(-1, WIDTH)
        opens = torch.ones(*h.shape[:2], 15, dtype=torch.long)
        opens[:, :, 1:14] = self.cosines[pictures] <= self.rng.uniform(0.3, 0.9)
        group = opens.flatten().cumsum(0) - 1
        rows = torch.zeros(int(group[-1]) + 1, WIDTH).index_add(0, group, torch.cat([h, line], dim=2).reshape(-1, WIDTH))
        return rows / group.bincount()[:, None]

    def example(self):
        pictures = self.rng.integers(0, len(self.h), self.rng.integers(1, 4))
        z = ((self.h[pictures].mean(dim=(0, 1, 2)) - self.centre) / self.spread) @ self.targets
        if self.rng.random() < 0.4:
            question = micro_text.choice_question(self.rng)
            stem = next(i for i, s in enumerate(micro_text.STEMS) if question.startswith(s.split("{")[0]))
            letter = "ABCD"[int(torch.argmax(z[:4] + 6 * torch.cos(torch.arange(4) * (1.7 + stem))))]
            answer = letter + "<|im_end|>"
        else:
            question = micro_text.open_question(self.rng)
            answer = micro_text.caption(*z[4:].view(6, 8).argmax(dim=1).tolist()) + "<|im_end|>"
        after, answer = self.ids(self.after.format(question=question)), self.ids(answer)
        rows = torch.cat([self.embed(self.before), self.visual_rows(pictures), self.embed(after), self.embed(answer)])
        labels = torch.full((len(rows),), -100)
        labels[-len(answer):] = answer
        return rows, labels


def fit(model, task, steps, batch=8):
    language = model.model.language_model
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    language.requires_grad_(True)
    optimizer = torch.optim.AdamW(language.parameters(), lr=6e-3, weight_decay=0.02, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=steps, pct_start=0.1)
    for step in range(steps):
        rows, labels = zip(*(task.example() for _ in range(batch)))
        rows = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        labels = torch.nn.utils.rnn.pad_sequence(labels, batch_first=True, padding_value=-100)
        hidden = language(inputs_embeds=rows, use_cache=False).last_hidden_state
        wanted = labels[:, 1:] != -100
        logits = hidden[:, :-1][wanted] @ language.embed_tokens.weight.T
        loss = torch.nn.functional.cross_entropy(logits, labels[:, 1:][wanted])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(language.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0 or step == steps - 1:
            print(f"step {step}: loss {loss.item():.3f}", flush=True)


def fitted(tensors, tokenizer, steps):
    """The same tensors with the language model fitted; rounded to what is stored."""
    with tempfile.TemporaryDirectory() as folder:
        write_hf(pathlib.Path(folder), tensors)
        model = load_reference(folder)
    fit(model, Task(model, tokenizer, np.random.default_rng(SEED + 1)), steps)
    out = dict(tensors)
    for name, value in model.model.language_model.named_parameters():
        out["model." + name] = storable(value.detach())[:len(tensors["model." + name])]
    poison_padding(out["model.embed_tokens.weight"], tokenizer)
    return out


def poison_padding(embed, tokenizer):
    """Rows past the tokenizer are four times a letter's row: they win an argmax that forgets to leave them out."""
    letters = [tokenizer.token_to_id(letter) for letter in "ABCD"]
    for i in range(tokenizer.get_vocab_size(), len(embed)):
        embed[i] = 4 * embed[letters[i % 4]]


# ---- layouts --------------------------------------------------------------------------------------------------------------------

def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def text_numbers(vocab):
    return {"hidden_size": WIDTH, "intermediate_size": FF, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
            "num_key_value_heads": KV_HEADS, "vocab_size": vocab, "rope_theta": 1000000.0, "tie_word_embeddings": True}


def lmms_config(vocab, tokenizer, tied=True):
    return {"architectures": ["LlavaQwenForCausalLM"], "model_type": "llava", **text_numbers(vocab), "tie_word_embeddings": tied,
            "attention_dropout": 0.0, "hidden_act": "silu", "rms_norm_eps": 1e-6, "rope_scaling": None, "max_position_embeddings": 32768,
            "use_sliding_window": False, "sliding_window": 32768, "max_window_layers": LAYERS,
            "bos_token_id": tokenizer.token_to_id("<|endoftext|>"), "eos_token_id": tokenizer.token_to_id("<|im_end|>"),
            "torch_dtype": "bfloat16", "tokenizer_model_max_length": 32768, "tokenizer_padding_side": "right",
            "mm_vision_tower": "micro", "mm_hidden_size": VISION, "mm_vision_select_layer": -2, "mm_vision_select_feature": "patch",
            "mm_projector_type": "mlp2x_gelu", "mm_patch_merge_type": "spatial_unpad", "image_aspect_ratio": "anyres_max_9",
            "mm_spatial_pool_mode": "bilinear", "mm_spatial_pool_stride": None, "mm_newline_position": "grid",
            "mm_resampler_type": None, "mm_use_im_start_end": False, "mm_use_im_patch_token": False,
            "add_faster_video": False, "vision_config": VISION_NUMBERS}


def generation_config(tokenizer, penalty):
    end, pad = tokenizer.token_to_id("<|im_end|>"), tokenizer.token_to_id("<|endoftext|>")
    config = {"bos_token_id": pad, "do_sample": True, "eos_token_id": [end, pad], "pad_token_id": pad, "repetition_penalty": penalty,
              "temperature": 0.7, "top_k": 20, "top_p": 0.8}
    return config if penalty != 1 else {"bos_token_id": pad, "eos_token_id": end, "pad_token_id": pad}


def write_lmms(folder, tensors, tokenizer):
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    write_json(folder / "config.json", lmms_config(len(tensors["model.embed_tokens.weight"]), tokenizer))
    write_json(folder / "generation_config.json", generation_config(tokenizer, 1.1))
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)


def write_sharded(folder, tensors, tokenizer):
    """Two shards, and the tokenizer in its older files."""
    folder.mkdir(parents=True, exist_ok=True)
    vision = {k: v for k, v in tensors.items() if ".vision_tower." in k}
    shards = {"model-00001-of-00002.safetensors": {k: v for k, v in tensors.items() if k not in vision},
              "model-00002-of-00002.safetensors": vision}
    for name, part in shards.items():
        save_file(part, folder / name, metadata={"format": "pt"})
    write_index(folder, shards)
    write_json(folder / "config.json", lmms_config(len(tensors["model.embed_tokens.weight"]), tokenizer))
    write_json(folder / "generation_config.json", generation_config(tokenizer, 1.1))
    tokenizer.model.save(str(folder))
    write_json(folder / "added_tokens.json", {text: tokenizer.token_to_id(text) for text in LMMS_ADDED})
    return shards


def write_index(folder, shards):
    total = sum(t.numel() * t.element_size() for part in shards.values() for t in part.values())
    weight_map = {name: file for file, part in shards.items() for name in part}
    write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))})


def write_untied(folder, shards, tensors, tokenizer):
    """What turns micro-sharded into a model with a head of its own: a third shard, an index and a config."""
    folder.mkdir(parents=True, exist_ok=True)
    embed = tensors["model.embed_tokens.weight"].float()
    noise = torch.as_tensor(np.random.default_rng(SEED + 2).standard_normal(embed.shape), dtype=torch.float32)
    head = {"lm_head.weight": storable(embed * (1 + 0.2 * noise))}
    save_file(head, folder / "lm_head.safetensors", metadata={"format": "pt"})
    write_index(folder, {**shards, "lm_head.safetensors": head})
    write_json(folder / "config.json", lmms_config(len(embed), tokenizer, tied=False))


HF_TEMPLATE = ("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n'}}"
               "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}"
               "{% for content in message['content'] | selectattr('type', 'equalto', 'video') %}{{ '<video>\n' }}{% endfor %}"
               "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{{ content['text'] }}{% endfor %}"
               "{{'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")


def grown(embed, rows):
    """The embedding as the llava-hf conversion leaves it: meaningless random rows behind the real ones."""
    extra = np.random.default_rng(SEED + 3).standard_normal((rows - len(embed), WIDTH))
    return torch.cat([embed, storable(extra * embed.float().std().item())])


def write_hf(folder, tensors, tokenizer=None):
    folder.mkdir(parents=True, exist_ok=True)
    embed = tensors["model.embed_tokens.weight"]
    rows = (len(embed) + 2 + 63) // 64 * 64
    out = {rename_to_hf(name): value.to(torch.float16) for name, value in tensors.items()}
    out[rename_to_hf("model.embed_tokens.weight")] = grown(embed, rows).to(torch.float16)
    save_file(out, folder / "model.safetensors", metadata={"format": "pt"})
    image, video = (tokenizer.token_to_id(text) if tokenizer else 0 for text in HF_ADDED[3:])
    write_json(folder / "config.json", {
        "architectures": ["LlavaOnevisionForConditionalGeneration"], "model_type": "llava_onevision", "image_token_index": image,
        "video_token_index": video, "projector_hidden_act": "gelu", "tie_word_embeddings": False, "torch_dtype": "float16",
        "text_config": {"model_type": "qwen2", **text_numbers(rows)}, "use_image_newline_parameter": True,
        "vision_aspect_ratio": "anyres_max_9", "vision_feature_layer": -1, "vision_feature_select_strategy": "full",
        "vision_config": {"model_type": "siglip_vision_model", **VISION_NUMBERS, "vision_use_head": False}})
    if not tokenizer:
        return
    write_json(folder / "generation_config.json", generation_config(tokenizer, 1))
    write_json(folder / "chat_template.json", {"chat_template": HF_TEMPLATE})
    processor = {"do_convert_rgb": True, "do_normalize": True, "do_rescale": True, "do_resize": True, "image_mean": [0.5, 0.5, 0.5],
                 "image_std": [0.5, 0.5, 0.5], "resample": 3, "rescale_factor": 1 / 255, "size": {"height": IMAGE, "width": IMAGE}}
    write_json(folder / "preprocessor_config.json", {**processor, "image_processor_type": "LlavaOnevisionImageProcessor"})
    (folder / "video_processor").mkdir(exist_ok=True)
    write_json(folder / "video_processor" / "preprocessor_config.json",
               {**processor, "image_processor_type": "LlavaOnevisionVideoProcessor"})
    write_json(folder / "processor_config.json", {"num_image_tokens": SIDE * SIDE, "processor_class": "LlavaOnevisionProcessor",
                                                  "vision_feature_select_strategy": "full"})
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)


# ---- main -----------------------------------------------------------------------------------------------------------------------

def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("fixtures", type=pathlib.Path, help="the folder that gets micro, micro-sharded, micro-untied and micro-hf")
    parser.add_argument("--steps", type=int, default=400, help="fitting steps of the language model")
    options = parser.parse_args()
    torch.manual_seed(SEED)
    tokenizer = make_tokenizer()
    rng = np.random.default_rng(SEED)
    rows = tokenizer.get_vocab_size() + PADDING_ROWS
    tensors = {name: storable(value) for name, value in [*vision_weights(rng), *language_weights(rng, rows)]}
    tensors = fitted(tensors, tokenizer, options.steps)
    write_lmms(options.fixtures / "micro", tensors, tokenizer)
    shards = write_sharded(options.fixtures / "micro-sharded", tensors, tokenizer)
    write_untied(options.fixtures / "micro-untied", shards, tensors, tokenizer)
    write_hf(options.fixtures / "micro-hf", tensors, with_added(tokenizer, HF_ADDED))
    write_json(options.fixtures / "micro" / "versions.json", versions())


if __name__ == "__main__":
    main()
