"""Records what the micro model says when visual tokens are dropped, merged or hidden between its layers: hooks.safetensors, hooks.json.

Every layer is transformers' own module (f32, eager attention), called one at a time on the rows that are left. The rules in between are
the released functions where these can be called alone, and otherwise written here from the sources named in docs/compressors.md,
independently of the program in C. Logits are those of the last prompt row and of a given reply behind it, taught row by row.

    git clone https://github.com/Gumpest/SparseVLMs, orailix/PACT, HYUNJS/STTM,
    Visual-AI/PruneVid and cokeshao/HoliTom into one folder
    python record_hooks.py ../../tests/fixtures --released FOLDER
"""

import argparse
import json
import math
import pathlib
import sys
import types

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save_file
from tokenizers import Tokenizer

sys.path.append(str(pathlib.Path(__file__).parent / "compressors"))
from common import Torch, released, released_block, revision
from pictures import frame
from record_stages import GRID, QUESTIONS, SIDE, SIZE, Speaker, dyntok_groups, dyntok_rows, language_model, neighbour_cosines
from reference import load_reference, pixel_values, versions, vision_features

T = 6
REPLY = [65, 310, 402]  # what is taught behind the prompt: any ids do
BUDGET = [12, 0, 196, 77, 3, 40] # of frames, where an allocator is among the methods
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
        self.entered_rows, self.asked = visual.rows, embed(torch.tensor(after))
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

    def project(self, layer):
        """Queries and keys of all rows in a layer that has not run, before rotation: [heads][rows][head], [kv heads][rows][head]."""
        x = layer.input_layernorm(self.rows)
        each = lambda p: p(x).view(len(x), -1, layer.self_attn.head_dim).transpose(0, 1)
        return each(layer.self_attn.q_proj), each(layer.self_attn.k_proj)

    def turn(self, v):
        """[...][rows][head] rotated by the rows' positions."""
        cos, sin = self.rotary()
        half = v.shape[-1] // 2
        return v * cos[0] + torch.cat([-v[..., half:], v[..., :half]], -1) * sin[0]

    def own_row(self, layer, i):
        """The same as row() by the projections of a layer that has not run."""
        q, k = map(self.turn, self.project(layer))
        k = k.repeat_interleave(len(q) // len(k), 0)[:, :i + 1]
        weights = torch.softmax((q[:, i, None] * k).sum(-1) * q.shape[-1] ** -0.5, -1)
        return weights[:, self.n_before:self.n_before + self.n].mean(0)

    def best(self, score, count, ranked):
        """The `count` best of those ranked, and all others; ascending."""
        among = torch.where(ranked)[0]
        order = among[torch.argsort(score[among], descending=True, stable=True)]
        if 0 < count < len(order):
            self.margin = min(self.margin, ((score[order[count - 1]] - score[order[count]]) / score[order[0]]).item())
        return torch.cat([order[:count], torch.where(~ranked)[0]]).sort().values

    def best_of_frames(self, score, budget, ranked):
        """The best of each frame, as many as its budget, and all that are not ranked."""
        each = [self.best(score, count, ranked & (self.frame == t)) for t, count in enumerate(budget)]
        chosen = [kept[(self.frame[kept] == t) & ranked[kept]] for t, kept in enumerate(each)]
        return torch.cat([*chosen, torch.where(~ranked)[0]]).sort().values

    def keep(self, kept, compact=False):
        at = torch.cat([torch.arange(self.n_before), self.n_before + kept, torch.arange(self.n_before + self.n, len(self.rows))])
        self.rows, self.positions = self.rows[at], self.positions[at]
        self.frame, self.cell, self.marker, self.size = self.frame[kept], self.cell[kept], self.marker[kept], self.size[kept]
        self.origin = self.origin[kept]
        if compact:
            self.positions = torch.arange(len(self.rows))

    def merge(self, kept, rows, size, compact=False):
        """The tokens that stay, or in whose place merged ones stand, and what each becomes."""
        self.keep(kept, compact)
        self.rows = torch.cat([self.rows[:self.n_before], rows, self.rows[self.n_before + self.n:]])
        self.size = torch.as_tensor(size, dtype=torch.float32)

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
    passes = 1

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
            kept = prompt.best_of_frames(score, self.budget, ranked)
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
    def __init__(self, layer, p, hold=0.9, budget=None):
        self.layer, self.p, self.limit, self.budget = layer, p, hold, budget

    def before(self, prompt, layers, i):
        if i != self.layer:
            return
        last = None
        content = torch.where(~prompt.marker)[0]
        for r in range(prompt.last + 1, len(prompt.rows)):
            score = prompt.row(r)[content]
            like = 0 if last is None else torch.nn.functional.cosine_similarity(score, last, dim=0).item()
            last = score
            if like < self.limit and self.budget:
                prompt.hide(prompt.best_of_frames(prompt.row(r), self.budget, ~prompt.marker), [r])
            elif like < self.limit:
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
        prompt.merge(torch.tensor(list(parts)), visual, [prompt.size[members].sum() for members in parts.values()])

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


class Late(Method):
    """FlashVID inside the language model (flashvid/utils.py fastv_prune): FastV's rule, rounded up."""

    def __init__(self, layer, keep, ranked_markers=False):
        self.layer, self.share, self.ranked = layer, keep, ranked_markers

    def before(self, prompt, layers, i):
        if i == self.layer:
            ranked = torch.ones_like(prompt.marker) if self.ranked else ~prompt.marker
            prompt.keep(prompt.best(prompt.row(prompt.last), math.ceil(self.share * int(ranked.sum())), ranked))


class HoliTom(Method):
    """HoliTom inside the language model; the loop that merges is the released one, of holitom/modeling_qwen2.py."""
    checkout = None

    def __init__(self, layer, keep, merge="sequence", ranked_markers=False):
        self.layer, self.share, self.merge, self.ranked = layer, keep, merge, ranked_markers

    def fold(self, prompt, ranked, score, count):
        """The rows of those ranked, with what is folded into them."""
        rows = prompt.visual[ranked][None].clone()
        space = {"torch": torch, "HOLITOM_image_token_length": len(ranked), "HOLITOM_image_token_start_index": 0, "hidden_states": rows,
                 "device": "cpu", "top_attention_rank_index": Torch().topk(score[ranked], count).indices}
        exec(released_block(self.checkout / "HoliTom/holitom/modeling_qwen2.py", "all_indices = torch.arange(HOLITOM", "# [modified]"), space)
        top = torch.sort(space["sim_matrix"][0], dim=-1, descending=True).values
        prompt.margin = min(prompt.margin, (top[:, 0] - top[:, 1]).min().item())
        if self.merge == "sequence":
            return rows[0]
        into = space["top_attention_rank_index"][space["sim_max_index"][0]]
        joined = [[k, *space["non_topk_indices"][into == k].tolist()] for k in range(len(ranked))]
        return torch.stack([prompt.visual[ranked][members].mean(0) for members in joined])

    def before(self, prompt, layers, i):
        if i != self.layer:
            return
        mask = torch.ones_like(prompt.marker) if self.ranked else ~prompt.marker
        ranked = torch.where(mask)[0]
        score = prompt.row(prompt.last)
        kept = prompt.best(score, half_even(self.share * len(ranked)), mask)
        if self.merge == "none":
            return prompt.keep(kept)
        rows = prompt.visual.clone()
        rows[ranked] = self.fold(prompt, ranked, score, half_even(self.share * len(ranked)))
        prompt.merge(kept, rows[kept], prompt.size[kept])


class SparseVLM(Method):
    """modelling_sparse_llama.py: what is kept and what clusters become are released functions, of score.py and utils.py; the video
    branch's count by rank is torch's."""
    checkout = None

    def __init__(self, counts, form="v1", recycle=0.3, total=False, heads=14, ranked_markers=False):
        self.counts, self.form, self.recycle, self.total, self.heads, self.ranked = counts, form, recycle, total, heads, ranked_markers

    def raters(self, prompt):
        match = (prompt.entered_rows @ prompt.asked.T).softmax(1).mean(0)
        prompt.margin = min(prompt.margin, ((match - match.mean()).abs().min() / match.mean()).item())
        return torch.where(match > match.mean())[0]

    def attention(self, prompt, raters):
        """[1][heads][rows][rows], as the second version corrects and chooses."""
        weights = prompt.weights[None]
        if self.form == "v1":
            return weights
        ones = prompt.turn(torch.ones(1, len(prompt.rows), prompt.model.config.hidden_size // prompt.model.config.num_attention_heads))
        weights = weights / (ones @ ones.transpose(1, 2) / math.sqrt(ones.shape[-1]))
        total = weights[0][:, raters, prompt.n_before:prompt.n_before + prompt.n].sum((1, 2))
        if self.heads < len(total):
            order = total.sort(descending=True).values
            prompt.margin = min(prompt.margin, ((order[self.heads - 1] - order[self.heads]) / order[0]).item())
        edit = lambda text: text.replace("topk(14)", f"topk({min(self.heads, len(total))})")
        space = released(self.checkout / "SparseVLMs/llava/model/language_model/score.py", ["select_attn_head_by_sum"], {"torch": torch}, edit)
        return space["select_attn_head_by_sum"](weights, raters, prompt.n_before, prompt.n_before + prompt.n)

    def choose(self, prompt, i, ranked):
        """Of those ranked, which are kept; the scores of all."""
        behind = prompt.n_before + prompt.n
        raters = self.raters(prompt)
        weights = self.attention(prompt, raters + behind)[..., prompt.n_before + ranked]
        count = self.counts[i]
        if count is None:
            count = int(torch.linalg.matrix_rank(weights.mean(1)[0, raters + behind]))
        space = {"torch": Torch(), "sparse_token_dict": {0: [count]}, "RETAIN_TOKN": 0, "layer_dict": {i: 0}}
        released(self.checkout / "SparseVLMs/llava/model/language_model/score.py", ["attn_postprocess_topk"], space)
        mask, _, score = space["attn_postprocess_topk"](weights, 0, len(ranked), behind, (None, raters), i)
        prompt.best(score[0], count, torch.ones_like(mask[0]))
        return mask[0], score[0]

    def clusters(self, prompt, dropped, score):
        """Which dropped tokens are recycled, and the rows that they become."""
        n = int(len(dropped) * self.recycle) + 1
        again = dropped[Torch().topk(score, n).indices]
        prompt.best(score, n, torch.ones(len(score), dtype=torch.bool))
        ein = types.SimpleNamespace(rearrange=lambda x, pattern: x[:, :, None] if pattern.endswith("() r") else x[:, None])
        space = released(self.checkout / "SparseVLMs/llava/model/language_model/utils.py", ["index_points", "cluster_and_merge"],
                         {"torch": Torch(), "ein": ein})
        traced = torch.cat([prompt.visual[again], torch.zeros(n, n)], 1) * math.sqrt((prompt.visual.shape[1] + n) / prompt.visual.shape[1])
        traced[:, -n:] = 1e-6 * torch.eye(n)  # too small to decide anything: shows whose sum a row is
        members = space["cluster_and_merge"](traced[None], int(n / 10) + 1)[0][:, -n:] > 0
        rows = [prompt.visual[again[row]] for row in members]
        return [again[row] for row in members], torch.stack([each.sum(0) if self.total else each.mean(0) for each in rows])

    def before(self, prompt, layers, i):
        if i not in self.counts:
            return
        mask = torch.ones_like(prompt.marker) if self.ranked else ~prompt.marker
        ranked = torch.where(mask)[0]
        kept, score = self.choose(prompt, i, ranked)
        stay = torch.cat([ranked[kept], torch.where(~mask)[0]]).sort().values
        if self.form == "v2" or not self.recycle:
            return prompt.keep(stay, self.form == "v1")
        members, rows = self.clusters(prompt, ranked[~kept], score[~kept])
        size = torch.stack([prompt.size[each].sum() for each in members])
        prompt.merge(torch.cat([stay, torch.stack([each[0] for each in members])]), torch.cat([prompt.visual[stay], rows]),
                     torch.cat([prompt.size[stay], size]), True)


class PruneVid(Method):
    """Which tokens stay is the released VTPWindowCache's; all frames are one window of moving tokens. What a reply does not see in the
    layers before is known only when the prompt has been through them, so this runs twice."""
    checkout, passes = None, 2

    def __init__(self, layer, keep, unturned=True, past=True, ranked_markers=False):
        self.layer, self.share, self.unturned, self.past, self.ranked, self.kept = layer, keep, unturned, past, ranked_markers, None

    def attention(self, prompt, layer):
        """[heads][question rows][visual tokens]; without positions every row sees all of the prompt."""
        asked, visual = slice(prompt.n_before + prompt.n, prompt.last + 1), slice(prompt.n_before, prompt.n_before + prompt.n)
        if not self.unturned:
            return prompt.weights[:, asked, visual]
        q, k = prompt.project(layer)
        k = k.repeat_interleave(len(q) // len(k), 0)[:, :asked.stop]
        return torch.softmax(q[:, asked] @ k.transpose(1, 2) / math.sqrt(q.shape[-1]), -1)[..., visual]

    def choose(self, prompt, attention):
        mask = torch.ones_like(prompt.marker) if self.ranked else ~prompt.marker
        ranked = torch.where(mask)[0]
        cache = types.SimpleNamespace(alpha=self.share)
        space = released(self.checkout / "PruneVid/models/pllava/elastic_cache.py", ["process_attention"], {"torch": Torch(), "np": np})
        stay = space["process_attention"](cache, attention[None][..., ranked], [0], [len(ranked)], [T])
        score = attention.amax((0, 1))
        for t in range(T):
            among = score[mask & (prompt.frame == t)]
            prompt.best(among, int(len(among) * self.share), torch.ones_like(among, dtype=torch.bool))
        return torch.cat([ranked[stay], torch.where(~mask)[0]]).sort().values

    def before(self, prompt, layers, i):
        if i == 0 and self.past and self.kept is not None:
            prompt.hide(self.kept, list(range(prompt.last + 1, len(prompt.rows))))
        if i == (self.layer - 1 if self.unturned else self.layer):
            self.kept = self.choose(prompt, self.attention(prompt, layers[i]))
        if i == self.layer:
            prompt.keep(self.kept)


class PACT(Method):
    """Clusters and merged rows are what the released transformers/PACT/utils.py makes of rows, keys and scores."""
    checkout = None

    def __init__(self, layer, keep=0.55, cutoff=0.21, reach=1.5, size_bias=True, ranked_markers=False):
        self.layer, self.share, self.cutoff, self.reach, self.bias, self.ranked = layer, keep, cutoff, reach, size_bias, ranked_markers

    def before(self, prompt, layers, i):
        if i != self.layer:
            return
        q, k = prompt.project(layers[i])
        span = slice(prompt.n_before, prompt.n_before + prompt.n)
        each = k.repeat_interleave(len(q) // len(k), 0)[:, :span.stop]
        row = torch.softmax((q[:, span].mean(1, keepdim=True) @ each.transpose(1, 2))[:, 0] / math.sqrt(q.shape[-1]), -1).mean(0)[span]
        mask = torch.ones_like(prompt.marker) if self.ranked else ~prompt.marker
        ranked = torch.where(mask)[0]
        chosen = torch.isin(ranked, prompt.best(row * prompt.visual.norm(dim=-1), int(len(ranked) * self.share), mask))
        keys = prompt.turn(k)[:, span].transpose(0, 1).flatten(1)[ranked]
        config = types.SimpleNamespace(synchro=False, avoid_numerical_instability_DBDPC=True, take_mean=True, get_mean_position_id=False,
                                       coef_pruned=self.reach)
        names = ["normal_compute_pairwise_distances", "DBDPC", "compute_fastest_cluster_means_with_arbitrary_ids", "merge_clusters", "token_reduction"]
        space = released(self.checkout / "PACT/transformers/PACT/utils.py", names, {"torch": torch, "np": np})
        rows = prompt.visual[ranked].double()
        reduce = lambda keys: space["token_reduction"](rows[chosen], keys[chosen], self.cutoff, None, config, pruned_hiddens=rows[~chosen],
                                                       pruned_keys=keys[~chosen])
        merged, centres, sizes, _ = reduce(keys.double())
        for seed in range(8):  # densities have no margin of their own
            shaken = keys.double() * (1 + 1e-6 * torch.randn(keys.shape, generator=torch.Generator().manual_seed(seed)).double())
            prompt.margin = prompt.margin if torch.allclose(reduce(shaken)[0], merged, atol=1e-9) else 0
        centres = centres.squeeze()
        visual, size = prompt.visual.clone(), prompt.size.clone()
        at = ranked[chosen][centres]
        visual[at], size[at] = merged[centres].float(), sizes[centres].float()
        kept = torch.cat([at, torch.where(~mask)[0]]).sort().values
        prompt.merge(kept, visual[kept], size[kept])
        prompt.size_bias = self.bias


class STTM(Method):
    """The released token_merging_utils/quadtree_builder.py, on the hidden rows of cells."""
    checkout = None

    def __init__(self, layer, spatial, temporal=0.55, root=1):
        self.layer, self.spatial, self.temporal, self.root = layer, spatial, temporal, root

    def before(self, prompt, layers, i):
        if i != self.layer:
            return
        sys.modules["einops"] = types.SimpleNamespace(rearrange=lambda rows, pattern, s: rows.view(-1, s, rows.shape[-1]))
        sys.path.insert(0, str(self.checkout / "STTM"))
        from token_merging_utils.quadtree_builder import quadtree_build_video
        cells = torch.where(~prompt.marker)[0]
        grid = prompt.visual[cells].view(T, GRID, GRID, -1).permute(0, 3, 1, 2)
        merged, _, boxes = quadtree_build_video(grid, self.spatial, self.temporal, self.root)
        at = cells[(boxes[:, 0].long() * GRID + boxes[:, 1]) * GRID + boxes[:, 2]]
        visual = prompt.visual.clone()
        visual[at] = merged
        kept = torch.cat([at, torch.where(prompt.marker)[0]]).sort().values
        prompt.merge(kept, visual[kept], prompt.size[kept], True)


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
    dytok = {"name": "dytok", "guide": "self"}
    yield "dytok-fastv", [dytok, fastv(layer=1)], "choice", "all", FastV(1, None, budget=BUDGET)
    yield "dytok-fastv-hide", [dytok, fastv(layer=2, form="hide")], "detail", "all", FastV(2, None, hide=True, budget=BUDGET)
    yield "dytok-dycoke", [dytok, dycoke(layer=1, hold=2)], "describe", "all", DyCoke(1, None, 2, BUDGET)
    sparse = lambda **options: {"name": "sparsevlm", **options}
    n = GRID * GRID * T
    yield "sparsevlm", [sparse()], "choice", "all", SparseVLM({1: half_even(n * 300 / 576), 2: half_even(n * 200 / 576)})
    yield "sparsevlm-64", [sparse(retain=64, markers="ranked")], "detail", "all", SparseVLM(
        {1: half_even((n + GRID * T) * 66 / 576), 2: half_even((n + GRID * T) * 30 / 576)}, ranked_markers=True)
    yield "sparsevlm-sum", [sparse(keep1=0.4, layer1=2, layer2=0, layer3=0, merge="sum")], "describe", "all", SparseVLM({2: half_even(n * 0.4)}, total=True)
    yield "sparsevlm-drops", [sparse(keep1=0.4, keep2=0.1, recycle=0)], "detail", "all", SparseVLM({1: half_even(n * 0.4), 2: half_even(n * 0.1)}, recycle=0)
    yield "sparsevlm-rank", [sparse(count="rank", layer2=0, layer3=0)], "describe", "all", SparseVLM({1: None})
    yield "sparsevlm-2", [sparse(form="v2", retain=128)], "describe", "all", SparseVLM({1: half_even(n * 238 / 576), 2: half_even(n * 108 / 576)}, "v2")
    yield "sparsevlm-2-heads", [sparse(form="v2", heads=2)], "detail", "all", SparseVLM({1: half_even(n * 300 / 576), 2: half_even(n * 200 / 576)}, "v2", heads=2)
    yield "dyntok-sparsevlm", [dyntok, sparse(keep1=0.5, keep2=0.3)], "describe", "merged", lambda entered: SparseVLM({1: half_even(entered * 0.5), 2: half_even(entered * 0.3)})
    holitom = lambda **options: {"name": "holitom", "keep": 1, "tau": 2, **options}
    yield "holitom-inner", [holitom(inner_layer=1, inner_keep=0.96)], "choice", "all", HoliTom(1, 0.96)
    yield "holitom-inner-late", [holitom(inner_layer=2, inner_keep=0.02, inner_markers="ranked")], "detail", "all", HoliTom(2, 0.02, ranked_markers=True)
    yield "holitom-inner-mean", [holitom(inner_keep=0.03, inner_merge="mean")], "describe", "all", HoliTom(2, 0.03, "mean")
    yield "holitom-inner-drops", [holitom(inner_keep=0.2, inner_merge="none")], "describe", "all", HoliTom(2, 0.2, "none")
    flashvid = lambda **options: {"name": "flashvid", "keep": 1, "expansion": 1, "alpha": 1, **options}
    yield "flashvid-inner", [flashvid()], "choice", "all", Late(2, 0.3)
    yield "flashvid-inner-early", [flashvid(inner_layer=1, inner_keep=0.11, inner_markers="ranked")], "detail", "all", Late(1, 0.11, True)
    prunevid = lambda **options: {"name": "prunevid", "tau": 2, "least": 65536, **options}
    yield "prunevid-inner", [prunevid(inner_layer=2)], "choice", "all", PruneVid(2, 0.4)
    yield "prunevid-inner-plain", [prunevid(inner_keep=0.25, inner_rows="plain")], "detail", "all", PruneVid(1, 0.25, False)
    yield "prunevid-inner-after", [prunevid(inner_keep=0.1, inner_past=False, inner_markers="ranked")], "describe", "all", PruneVid(1, 0.1, past=False, ranked_markers=True)
    pact = lambda **options: {"name": "pact", **options}
    yield "pact", [pact(layer=1)], "choice", "all", PACT(1)
    yield "pact-ranked", [pact(layer=2, keep=0.3, cutoff=0.05, size_bias=False, markers="ranked")], "detail", "all", PACT(2, 0.3, 0.05, size_bias=False, ranked_markers=True)
    sttm = lambda **options: {"name": "sttm", **options}
    yield "sttm", [sttm(layer=1)], "choice", "all", STTM(1, 0.85)
    yield "sttm-late", [sttm(layer=2, spatial=0.7, temporal=0.8, root=0)], "detail", "all", STTM(2, 0.7, 0.8, 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("fixtures", type=pathlib.Path, help="the folder that holds micro and micro-hf")
    parser.add_argument("--released", type=pathlib.Path, required=True, help="the folder that holds checkouts of the released code")
    options = parser.parse_args()
    for method in (HoliTom, SparseVLM, PruneVid, PACT, STTM):
        method.checkout = options.released
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
        if not isinstance(method, Method):
            method = method(int((~visuals[rows].marker).sum()))
        for _ in range(method.passes):
            prompt = Prompt(speaker.model, before, visuals[rows], after)
            tensors[name] = run(prompt, method).numpy()
        if prompt.margin < MARGIN:
            raise SystemExit(f"{name}: kept and dropped tokens are too close to call ({prompt.margin:.1e}); choose another setting")
        margin = float(f"{prompt.margin:.2g}") if prompt.margin < 1 else None
        facts.append({"name": name, "methods": methods, "question": question, "tokens": prompt.counts, "cached": prompt.cached,
                      "margin": margin})
    known = {**versions(), **{name: revision(options.released / name) for name in ("HoliTom", "SparseVLMs", "PruneVid", "PACT", "STTM")}}
    save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, micro / "hooks.safetensors")
    lines = ",\n  ".join(json.dumps(fact) for fact in facts)
    (micro / "hooks.json").write_text(f'{{"versions": {json.dumps(known)},\n "frames": {T}, "reply": {REPLY}, "budget": {BUDGET},\n "cases": [\n  {lines}]}}\n')


if __name__ == "__main__":
    main()
