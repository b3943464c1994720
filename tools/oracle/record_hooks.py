"""Records what the micro model says when visual tokens are dropped, merged or hidden between its layers: hooks.safetensors, hooks.json.

Every layer is transformers' own module (f32, eager attention), called one at a time on the rows that are left; the rules in between are
written here from the sources named in docs/compressors.md, independently of the program in C. Logits are those of the last prompt row
and of a given reply behind it, taught row by row.

    python record_hooks.py ../../tests/fixtures
"""

import argparse
import json
import pathlib

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save_file
from tokenizers import Tokenizer

from pictures import frame
from record_stages import GRID, QUESTIONS, SIDE, SIZE, Speaker, dyntok_groups, dyntok_rows, language_model, neighbour_cosines
from reference import load_reference, pixel_values, versions, vision_features

T = 6
REPLY = [65, 310, 402]  # what is taught behind the prompt: any ids do
MARGIN = 2e-6           # least relative distance between what is kept and what is dropped


# ---- a prompt on its way through the layers ----------------------------------------------------------------------------------------

class Prompt:
    """Rows, their positions, and which of them are visual; a visual token knows its frame, its cell and whether it is a marker."""

    def __init__(self, model, before, visual, after):
        self.model = model
        embed = model.model.embed_tokens
        self.rows = torch.cat([embed(torch.tensor(before)), visual.rows, embed(torch.tensor(after + REPLY))])
        self.positions = torch.arange(len(self.rows))
        self.n_before, self.n_after = len(before), len(after) + len(REPLY)
        self.frame, self.cell, self.marker = visual.frame, visual.cell, visual.marker
        self.size = visual.size
        self.entered, self.entered_content = len(self.frame), int((~self.marker).sum())
        self.origin = torch.arange(len(self.frame))
        self.hidden = []                 # (rows that do not see, tokens they do not see): see mask()
        self.size_bias = False
        self.weights = None              # of the layer that ran last: [heads][rows][rows]
        self.counts, self.cached = [], [] # visual tokens per layer; those that the reply's first row sees there
        self.margin = float("inf")

    @property
    def n(self):
        return len(self.frame)

    @property
    def last(self):
        """The last prompt row."""
        return len(self.rows) - len(REPLY) - 1

    @property
    def visual(self):
        return self.rows[self.n_before:self.n_before + self.n]

    def mask(self):
        n = len(self.rows)
        mask = torch.full((n, n), -torch.inf).triu(1)
        if self.size_bias:
            mask[:, self.n_before:self.n_before + self.n] += self.size.log()
        for rows, tokens in self.hidden:  # both counted from the end and from what entered, which drops leave alone
            there = torch.where(torch.isin(self.origin, tokens))[0]
            mask[(n - rows)[:, None], self.n_before + there[None]] = -torch.inf
        return mask

    def rotary(self):
        return self.model.model.rotary_emb(self.rows, self.positions[None])

    def attend(self, layer):
        self.counts.append(self.n)
        self.cached.append(int((self.mask()[self.last + 1, self.n_before:self.n_before + self.n] > -torch.inf).sum()))
        out, weights = layer.self_attn(hidden_states=layer.input_layernorm(self.rows)[None], position_embeddings=self.rotary(),
                                       attention_mask=self.mask()[None, None])
        self.rows, self.weights = self.rows + out[0], weights[0]

    def feed(self, layer):
        self.rows = self.rows + layer.mlp(layer.post_attention_layernorm(self.rows))

    def row(self, i):
        """Attention of row i to the visual tokens in the layer that ran last, mean over heads."""
        return self.weights[:, i, self.n_before:self.n_before + self.n].mean(0)

    def own_row(self, layer, i):
        """The same by the projections of a layer that has not run."""
        attention, head = layer.self_attn, layer.self_attn.head_dim
        x = layer.input_layernorm(self.rows)
        q = attention.q_proj(x[i]).view(-1, head)
        k = attention.k_proj(x[:i + 1]).view(i + 1, -1, head).transpose(0, 1)
        cos, sin = self.rotary()
        turn = lambda v, at: v * cos[0, at] + torch.cat([-v[..., head // 2:], v[..., :head // 2]], -1) * sin[0, at]
        q, k = turn(q, i), turn(k, slice(0, i + 1))
        k = k.repeat_interleave(len(q) // len(k), 0)
        weights = torch.softmax((q[:, None] * k).sum(-1) * head ** -0.5, -1)
        return weights[:, self.n_before:self.n_before + self.n].mean(0)

    def best(self, score, count, ranked):
        """The `count` best of those ranked, and all others; ascending."""
        among = torch.where(ranked)[0]
        order = among[torch.argsort(score[among], descending=True, stable=True)]
        if 0 < count < len(order):
            self.margin = min(self.margin, ((score[order[count - 1]] - score[order[count]]) / score[order[0]]).item())
        return torch.cat([order[:count], torch.where(~ranked)[0]]).sort().values

    def keep(self, kept, compact=False):
        at = torch.cat([torch.arange(self.n_before), self.n_before + kept, torch.arange(self.n_before + self.n, len(self.rows))])
        self.rows, self.positions = self.rows[at], self.positions[at]
        self.frame, self.cell, self.marker, self.size = self.frame[kept], self.cell[kept], self.marker[kept], self.size[kept]
        self.origin = self.origin[kept]
        if compact:
            self.positions = torch.arange(len(self.rows))

    def hide(self, kept, rows=None):
        """All but `kept` from some rows: those of question and reply unless it is said which."""
        gone = torch.ones(self.n, dtype=torch.bool)
        gone[kept] = False
        rows = torch.arange(self.n_before + self.n, len(self.rows)) if rows is None else torch.tensor(rows)
        self.hidden.append((len(self.rows) - rows, self.origin[gone]))

    def logits(self):
        rows = self.model.model.norm(self.rows[-len(REPLY) - 1:])
        return self.model.lm_head(rows)


class Method:
    """Acts before and within layers; this one does nothing."""

    def before(self, prompt, layers, i):
        pass

    def within(self, prompt, layers, i):
        pass


class Both(Method):
    def __init__(self, *methods):
        self.methods = methods

    def before(self, *at):
        for method in self.methods:
            method.before(*at)

    def within(self, *at):
        for method in self.methods:
            method.within(*at)


def run(prompt, method):
    layers = prompt.model.model.layers
    with torch.no_grad():
        for i, layer in enumerate(layers):
            method.before(prompt, layers, i)
            prompt.attend(layer)
            if i + 1 < len(layers):
                method.within(prompt, layers, i)
            prompt.feed(layer)
        return prompt.logits()


# ---- methods -----------------------------------------------------------------------------------------------------------------------

def half_even(value):
    return int(np.round(value))


class FastV(Method):
    def __init__(self, layer, keep, hide=False, ranked_markers=False, budget=None, size_power=0):
        self.layer, self.share, self.hide, self.ranked, self.budget, self.power = layer, keep, hide, ranked_markers, budget, size_power

    def before(self, prompt, layers, i):
        if i != self.layer:
            return
        score = prompt.row(prompt.last) * prompt.size ** self.power
        ranked = torch.ones_like(prompt.marker) if self.ranked else ~prompt.marker
        if self.budget is None:
            kept = prompt.best(score, half_even(self.share * int(ranked.sum())), ranked)
        else:
            rest = torch.where(~ranked)[0]
            each = [prompt.best(score, count, ranked & (prompt.frame == t)) for t, count in enumerate(self.budget)]
            chosen = [kept[(prompt.frame[kept] == t) & ranked[kept]] for t, kept in enumerate(each)]
            kept = torch.cat([*chosen, rest]).sort().values
        prompt.hide(kept) if self.hide else prompt.keep(kept)


class PyramidDrop(Method):
    def __init__(self, stages, compact=True, ranked_markers=False):
        self.stages, self.compact, self.ranked = stages, compact, ranked_markers

    def before(self, prompt, layers, i):
        if i not in self.stages:
            return
        ranked = torch.ones_like(prompt.marker) if self.ranked else ~prompt.marker
        entered = prompt.entered if self.ranked else prompt.entered_content
        prompt.keep(prompt.best(prompt.own_row(layers[i], prompt.last), int(entered * self.stages[i]), ranked), self.compact)


class DyCoke(Method):
    def __init__(self, layer, p, hold=0.9):
        self.layer, self.p, self.limit = layer, p, hold

    def before(self, prompt, layers, i):
        if i != self.layer:
            return
        last = None
        content = torch.where(~prompt.marker)[0]
        for r in range(prompt.last + 1, len(prompt.rows)):
            score = prompt.row(r)[content]
            like = 0 if last is None else torch.nn.functional.cosine_similarity(score, last, dim=0).item()
            last = score
            if like < self.limit:
                prompt.hide(prompt.best(prompt.row(r), int(len(content) * (1 - self.p)), ~prompt.marker), [r])


class FrameFusion(Method):
    """framefusion/main.py, with the model's number of layers in the place of 28."""

    def __init__(self, cost, threshold, least=0.1):
        self.cost, self.threshold, self.least = cost, threshold, least
        self.taken, self.merged, self.pruned = [], False, False

    def ratio(self, n_layers):
        left = np.cumprod([1 - share for share in self.taken])
        rest = (n_layers - len(left)) * (left[-1] if len(left) else 1)
        return max(0, 1 - (n_layers * self.cost - left.sum()) / rest)

    def merge(self, prompt, n_layers):
        rows, start = prompt.visual, {}
        before = torch.full((prompt.n,), -1)
        for i, cell in enumerate(prompt.cell.tolist()):
            before[i] = start.get(cell, -1)
            start[cell] = i
        there = torch.where(before >= 0)[0]
        alike = torch.full((prompt.n,), -2.0)
        a, b = rows[there], rows[before[there]]
        alike[there] = (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1))
        marked = alike >= self.threshold
        share, most = int(marked.sum()) / prompt.n, self.ratio(n_layers)
        prompt.margin = min(prompt.margin, (alike - self.threshold).abs().min().item())
        if share < most:
            self.taken.append(share)
            self.merged = share < self.least
        else:
            count = int(most * prompt.n)
            order = torch.argsort(alike, descending=True, stable=True)
            prompt.margin = min(prompt.margin, (alike[order[count - 1]] - alike[order[count]]).item())
            marked = torch.zeros_like(marked)
            marked[order[:count]] = True
            self.merged = self.pruned = True
        parts = {}
        into = []
        for i in range(prompt.n):
            into.append(into[before[i]] if marked[i] else i)
            parts.setdefault(into[i], []).append(i)
        visual = torch.stack([rows[members].mean(0) for members in parts.values()])
        kept = torch.tensor(list(parts))
        sizes = torch.tensor([prompt.size[members].sum() for members in parts.values()])
        prompt.keep(kept)
        prompt.size = sizes
        prompt.rows = torch.cat([prompt.rows[:prompt.n_before], visual, prompt.rows[prompt.n_before + prompt.n:]])

    def before(self, prompt, layers, i):
        if i == 0:
            self.merge(prompt, len(layers))

    def within(self, prompt, layers, i):
        if self.merged and not self.pruned:
            count = half_even(prompt.n * (1 - self.ratio(len(layers))))
            prompt.keep(prompt.best(prompt.row(prompt.last), count, torch.ones_like(prompt.marker)))
            self.pruned = True
        elif not self.merged:
            self.merge(prompt, len(layers))


# ---- visual rows -------------------------------------------------------------------------------------------------------------------

class Visual:
    """Rows in the grid layout: cells of each row of each frame, a newline behind."""

    def __init__(self, rows, frame, cell, marker, size):
        self.rows, self.size = rows, torch.tensor(size, dtype=torch.float32)
        self.frame, self.cell, self.marker = torch.tensor(frame), torch.tensor(cell), torch.tensor(marker)


def all_rows(h, newline):
    rows, frames, cells, markers = [], [], [], []
    for t in range(len(h)):
        for y in range(GRID):
            rows += [*h[t, y], newline]
            frames += [t] * (GRID + 1)
            cells += [*range(y * GRID, (y + 1) * GRID), GRID * GRID + y]
            markers += [False] * GRID + [True]
    return Visual(torch.stack(rows), frames, cells, markers, [1] * len(rows))


def merged_rows(h, newline, groups):
    frames, cells, markers, sizes = [], [], [], []
    for t, picture in enumerate(groups):
        for y, lengths in enumerate(picture):
            frames += [t] * (len(lengths) + 1)
            cells += [*(y * GRID + np.cumsum([0, *lengths])[:-1]), GRID * GRID + y]
            markers += [False] * len(lengths) + [True]
            sizes += [*lengths, 1]
    return Visual(dyntok_rows(h, newline, groups), frames, cells, markers, sizes)


def features(reference):
    pictures = [Image.fromarray(frame(t)).resize((SIZE, SIZE), Image.BICUBIC) for t in range(T)]
    x = vision_features(reference, pixel_values(np.stack([np.asarray(picture) for picture in pictures])))
    with torch.no_grad():
        p = reference.model.multi_modal_projector(x)
    pool = lambda f: torch.nn.functional.interpolate(f.view(T, SIDE, SIDE, -1).permute(0, 3, 1, 2), size=(GRID, GRID),
                                                     mode="bilinear").permute(0, 2, 3, 1).contiguous()
    return pool(x), pool(p)


def guide_shares(prompt):
    """[layers][T]: what of the last prompt row's attention falls on each frame, softmax over content alone."""
    content = torch.where(~prompt.marker)[0]
    shares = []

    with torch.no_grad():
        for layer in prompt.model.model.layers:
            prompt.attend(layer)
            log = prompt.weights[:, prompt.last, prompt.n_before:prompt.n_before + prompt.n][:, content].double().log()
            each = torch.softmax(log, -1).mean(0)
            shares.append(torch.stack([each[prompt.frame[content] == t].sum() for t in range(T)]))
            prompt.feed(layer)
    return torch.stack(shares).float()


# ---- recording ---------------------------------------------------------------------------------------------------------------------

def cases():
    """Name, methods as a sweep file has them, question, visual rows, what acts."""
    fastv = lambda **options: {"name": "fastv", **options}
    yield "none", [{"name": "none"}], "choice", "all", Method()
    yield "fastv-1", [fastv(layer=1, keep=0.5)], "choice", "all", FastV(1, 0.5)
    yield "fastv-2", [fastv(layer=2, keep=0.25)], "describe", "all", FastV(2, 0.25)
    yield "fastv-ranked", [fastv(layer=1, keep=0.3, markers="ranked")], "detail", "all", FastV(1, 0.3, ranked_markers=True)
    yield "fastv-none-left", [fastv(layer=2, keep=0)], "choice", "all", FastV(2, 0)
    yield "fastv-hide", [fastv(layer=1, keep=0.2, form="hide")], "choice", "all", FastV(1, 0.2, hide=True)
    pdrop = lambda **options: {"name": "pyramiddrop", **options}
    yield "pdrop", [pdrop()], "choice", "all", PyramidDrop({1: 0.5, 2: 0.25})
    yield "pdrop-early", [pdrop(layer1=0, layer2=1, layer3=2, keep1=0.7, keep2=0.5, keep3=0.1)], "detail", "all", PyramidDrop({0: 0.7, 1: 0.5, 2: 0.1})
    yield "pdrop-ranked", [pdrop(markers="ranked", positions="keep")], "describe", "all", PyramidDrop({1: 0.5, 2: 0.25}, False, True)
    fusion = lambda **options: {"name": "framefusion", **options}
    yield "framefusion", [fusion(cost=0.5, threshold=0.6)], "choice", "all", FrameFusion(0.5, 0.6)
    yield "framefusion-steps", [fusion(cost=0.7, threshold=0.9, least=0.02)], "detail", "all", FrameFusion(0.7, 0.9, 0.02)
    yield "framefusion-merges", [fusion(cost=0.4, threshold=-0.5)], "detail", "all", FrameFusion(0.4, -0.5)
    yield "framefusion-prunes", [fusion(cost=0.6, threshold=0.99)], "describe", "all", FrameFusion(0.6, 0.99)
    dycoke = lambda **options: {"name": "dycoke", "k": 0, **options}
    yield "dycoke", [dycoke(layer=1, p=0.7)], "choice", "all", DyCoke(1, 0.7)
    yield "dycoke-always", [dycoke(layer=2, p=0.8, hold=2)], "detail", "all", DyCoke(2, 0.8, 2)
    dyntok = {"name": "dyntok", "threshold": 0.6}
    yield "dyntok-fastv", [dyntok, fastv(layer=1, keep=0.5)], "choice", "merged", FastV(1, 0.5)
    yield "dyntok-pdrop", [dyntok, pdrop()], "detail", "merged", PyramidDrop({1: 0.5, 2: 0.25})
    yield "dyntok-dycoke", [dyntok, dycoke(layer=1, p=0.5, hold=2)], "describe", "merged", DyCoke(1, 0.5, 2)
    yield "fastv-dycoke", [fastv(layer=1, keep=0.5), dycoke(layer=2, p=0.5, hold=2)], "choice", "all", Both(FastV(1, 0.5), DyCoke(2, 0.5, 2))
    yield "fastv-later-dycoke", [fastv(layer=2, keep=0.5), dycoke(layer=1, p=0.5, hold=2)], "choice", "all", Both(FastV(2, 0.5), DyCoke(1, 0.5, 2))
    yield "dyntok-fastv-size", [dyntok, fastv(layer=2, keep=0.5, size_power=1)], "detail", "merged", FastV(2, 0.5, size_power=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("fixtures", type=pathlib.Path, help="the folder that holds micro and micro-hf")
    options = parser.parse_args()
    micro = options.fixtures / "micro"
    tokenizer = Tokenizer.from_file(str(micro / "tokenizer.json"))
    reference = load_reference(options.fixtures / "micro-hf")
    speaker = Speaker(language_model(reference, tokenizer.get_vocab_size()), tokenizer, None)
    x, h = features(reference)
    newline = reference.model.image_newline.detach()
    visuals = {"all": all_rows(h, newline), "merged": merged_rows(h, newline, dyntok_groups(neighbour_cosines(x.numpy()), 0.6))}

    tensors, facts = {}, []
    for question in ("choice", "detail"):
        before, after = speaker.prompt_ids(QUESTIONS[question])
        tensors[f"guide.{question}"] = guide_shares(Prompt(speaker.model, before, visuals["all"], after)).numpy()
    for name, methods, question, rows, method in cases():
        before, after = speaker.prompt_ids(QUESTIONS[question])
        prompt = Prompt(speaker.model, before, visuals[rows], after)
        tensors[name] = run(prompt, method).numpy()
        if prompt.margin < MARGIN:
            raise SystemExit(f"{name}: kept and dropped tokens are too close to call ({prompt.margin:.1e}); choose another setting")
        margin = float(f"{prompt.margin:.2g}") if prompt.margin < 1 else None
        facts.append({"name": name, "methods": methods, "question": question, "tokens": prompt.counts, "cached": prompt.cached,
                      "margin": margin})
    save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, micro / "hooks.safetensors")
    lines = ",\n  ".join(json.dumps(fact) for fact in facts)
    (micro / "hooks.json").write_text(f'{{"versions": {json.dumps(versions())},\n "frames": {T}, "reply": {REPLY},\n "cases": [\n  {lines}]}}\n')



if __name__ == "__main__":
    main()
