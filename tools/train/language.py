"""Stage 2: projector and language model on questions.

All questions of a video stand in one sequence behind its frames; each sees the frames and itself, nothing of the others (a block mask), at
the positions it would have alone. So the frames are paid for once, and the gradient is that of eight separate prompts. Questions have
three forms: choice, as the benchmark puts them; plain, without options and answered in words; terse, a word or two of it with the
answer right behind. What is learnt from the terse in minutes is not learnt from letters in hours.
"""

import dataclasses

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import codes
import tower
import words
import world

IGNORED = -100
DYNTOK_THRESHOLDS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclasses.dataclass
class Batch:
    rgb: torch.Tensor      # u8 [videos * frames][112][112][3]
    labels: torch.Tensor   # u8 [videos * frames][14][14][5]
    ids: torch.Tensor      # [videos][n]: the text behind the frames, padded
    block: torch.Tensor    # [videos][n]: 0 what all questions share, else the question; -1 padding
    place: torch.Tensor    # [videos][n]: position from the end of the frames
    target: torch.Tensor   # [videos][n]: the next id where an answer is to be given, else IGNORED
    choice: torch.Tensor   # [videos][n]: 1 + type where a letter is to be given, else 0
    option: torch.Tensor   # [questions with options][8]: video, last places of question and options, the right option, its last id
    n_frames: int

    def to(self, device):
        return dataclasses.replace(self, **{f.name: getattr(self, f.name).to(device, non_blocking=True) for f in dataclasses.fields(self)
                                            if f.name != "n_frames"})


class Text:
    """What stands behind a video's frames: lists of the same length, as in Batch."""

    def __init__(self, intro):
        self.intro = len(intro)
        self.ids, self.block, self.place = list(intro), [0] * len(intro), list(range(len(intro)))
        self.target, self.choice, self.option = [IGNORED] * len(intro), [0] * len(intro), []

    def ask(self, asked, reply, kind=0):
        """A question of its own block. kind: 1 + type where the reply is a letter."""
        n = len(asked) + len(reply) - 1
        self.ids += asked + reply[:-1]
        self.block += [max(self.block) + 1] * n
        self.place += range(self.intro, self.intro + n)
        self.target += [IGNORED] * (len(asked) - 1) + reply
        self.choice += [0] * (len(asked) - 1) + [kind] + [0] * (len(reply) - 1)


def text_of(questions, labels, rng, forms, brief):
    """The questions on one video, each in one of the forms by their shares; with terse ones also what goes with what on its frames."""
    text, end = Text(words.ids("\n" if brief else words.INTRO)), words.ids("<|im_end|>")
    for kind, asked, options, answer in questions:
        form = rng.choice(list(forms), p=list(forms.values()))
        reply = words.ids(f" {options[answer]}") + end  # in the ids that an option of it has
        if form == "choice":
            prompt, ends = words.choice_ids(asked, tuple(options), brief)
            text.option.append([len(text.ids) + at for at in ends] + [answer, reply[-2]])
            text.ask(prompt, words.ids("ABCD"[answer]) + end, 1 + kind)
        else:
            text.ask(words.ids(words.plain(asked, brief) if form == "plain" else words.terse(asked)), reply)
    for shape, colour in pairs_of(labels) if forms.get("terse") else ():
        names = words.ids(f" {words.SHAPES[shape]}"), words.ids(f" {words.COLOURS[colour]}")
        for one, other in (names, names[::-1]):
            text.ask(one, other)
    for asked, reply in seen_on(labels) if forms.get("terse") else ():
        text.ask(words.ids(f" {asked}"), words.ids(f" {reply}") + end)
    return text


def pairs_of(labels):
    """Shapes and colours that frames [n][14][14][5] show together, of shapes that have one colour."""
    seen = np.unique(labels.reshape(-1, 5)[:, :2], axis=0).astype(int) - 1
    seen = seen[(seen[:, 0] >= 0) & (seen[:, 0] < len(words.SHAPES))]
    return seen[np.bincount(seen[:, 0], minlength=len(words.SHAPES))[seen[:, 0]] == 1]


def seen_on(labels):
    """What more can be asked about frames [n][14][14][5]: terse questions and their answers."""
    for shape, colour in pairs_of(labels[:1]):
        at = np.argwhere((labels[0, ..., 0] == shape + 1) & (labels[0, ..., 1] == colour + 1))
        down, right = at.mean(0) - (world.GRID - 1) / 2
        if np.ptp(at, 0).max() < 4 and abs(abs(down) - abs(right)) > 1:  # not a scattered crowd
            yield f"edge {words.SHAPES[shape]}", words.EDGES[int(right > 0) if abs(right) > abs(down) else 2 + int(down > 0)]


def padded(lists, value):
    n = (max(map(len, lists)) + 15) // 16 * 16
    return torch.tensor([row + [value] * (n - len(row)) for row in lists])


def make_batch(videos, n_frames, rng, types=range(len(world.TYPES)), forms=None, brief=False):
    """A batch about these videos. One frame is any, more are evenly spread from the first to the last. forms: shares of choice (the
    default), plain and terse."""
    rgb, labels, texts = [], [], []
    for video in videos:
        shown = world.uniform(video.n_frames, n_frames) if n_frames > 1 else rng.integers(0, video.n_frames, 1)
        frames, marks = video.frames(shown)
        rgb.append(frames)
        labels.append(marks)
        texts.append(text_of([q for q in video.questions() if q[0] in types], marks, rng, forms or {"choice": 1.0}, brief))
    ids, block, place, target, choice = (padded([getattr(text, name) for text in texts], value) for name, value in
                                         (("ids", 0), ("block", -1), ("place", 0), ("target", IGNORED), ("choice", 0)))
    option = torch.tensor([[v, *row] for v, text in enumerate(texts) for row in text.option]).view(-1, 8)
    return Batch(torch.from_numpy(np.concatenate(rgb)), torch.from_numpy(np.concatenate(labels)), ids, block, place, target, choice, option,
                 n_frames)


# ---- what methods make of the frames ------------------------------------------------------------------------------------------

def merge_rows(features, projected, newline, threshold):
    """DynTok (arXiv 2506.03990): [v][t][14][14][.] -> rows [v][n][d], how many of them each video has; a marker ends each row.

    threshold 2 merges nothing: the layout without compression."""
    v, t, h, w, d = projected.shape
    x = F.normalize(features, dim=-1)
    starts = torch.ones(v, t, h, w, dtype=torch.long, device=projected.device)
    starts[..., 1:] = ((x[..., 1:, :] * x[..., :-1, :]).sum(-1) <= threshold).long()
    starts = starts.view(v, t * h, w)
    before = starts.sum(-1).cumsum(-1) - starts.sum(-1)
    group = starts.cumsum(-1) - 1 + (before + torch.arange(t * h, device=starts.device))[..., None]
    marker = group[..., -1] + 1
    length = marker[:, -1] + 1
    n = int(length.max())
    sizes = torch.zeros(v, n, device=projected.device).scatter_add_(1, group.flatten(1), torch.ones(v, t * h * w, device=projected.device))
    flat = projected.float().reshape(v, t * h * w, d) / sizes.gather(1, group.flatten(1))[..., None]
    rows = torch.zeros(v, n, d, device=projected.device).scatter_add_(1, group.flatten(1)[..., None].expand(-1, -1, d), flat)
    marks = torch.zeros(v, n, 1, device=projected.device).scatter_(1, marker[..., None], 1.0)
    return rows + marks * newline, length


def pooled(features, stride):
    """Means of stride x stride cells of [v][t][14][14][c]."""
    v, t = features.shape[:2]
    return F.avg_pool2d(features.flatten(0, 1).permute(0, 3, 1, 2), stride).permute(0, 2, 3, 1).unflatten(0, (v, t))


def compressed(model, features, projected, batch, method):
    """The visual rows of a batch under a method: none, pool, a threshold of DynTok, or codes ("vq32"). features and projected
    [frames][196][.]."""
    if str(method).startswith("vq"):
        return codes.fused(model.cross_attention, projected, batch.n_frames, int(method[2:]), model.image_newline)
    side = model.shape.side
    x, y = (t.view(len(batch.ids), batch.n_frames, side, side, -1) for t in (features, projected))
    if method == "pool":
        x, y, method = pooled(x, 2), pooled(y, 2), "none"
    return merge_rows(x, y, model.image_newline, 2.0 if method == "none" else method)


# Of labels, from the first that has one.
NAMES = ((1, [*words.SHAPES, "sign", "border", "bar"]), (1, words.COLOURS), (1, [str(n) for n in range(10)]),
         (1, [str(1 << n) for n in range(4)]), (0, words.FAMILIES))


class Sketch(nn.Module):
    """What a perfect tower and projector could say of a patch: a sum of embeddings of its labels and of its place. The language model
    learns from sketches while the tower still learns to see, and the projector then learns to say the same. Labels that have a name
    begin as the embedding of its word: to see something is then at once nearly the same as to read its name."""

    def __init__(self, words_table):
        super().__init__()
        width = words_table.embedding_dim
        self.labels = nn.ModuleList(nn.Embedding(n, width) for n in tower.CLASSES.values())
        steps = torch.linspace(-1, 1, world.GRID)
        self.place = nn.Parameter(torch.cartesian_prod(steps, steps) @ (0.07 * torch.randn(2, width)))
        for one, (first, names) in zip(self.labels, NAMES):
            nn.init.normal_(one.weight, std=0.05)
            one.weight.data[first:first + len(names)] = words_table.weight.data[[words.ids(f" {name}")[-1] for name in names]]

    def forward(self, labels):
        """[frames][196][width] of u8 labels [frames][14][14][5]."""
        flat = labels.flatten(1, 2).long()
        return sum(one(flat[..., k]) for k, one in enumerate(self.labels)) + self.place

    def alike(self, labels):
        """In place of features, for merging: 1 and above where neighbours have the same labels, 0 where they differ in all."""
        return torch.cat([F.one_hot(labels.flatten(1, 2).long()[..., k], n).float() for k, n in enumerate(tower.CLASSES.values())], -1)


# ---- the sequence -------------------------------------------------------------------------------------------------------------

def hidden_of(model, batch, rows, length):
    """Hidden states of the text behind the frames, [videos][n][d]: halfway through the layers, before the last, and final ones.

    Videos go through in groups of like length: a method leaves some several times as many rows as others."""
    order = length.argsort()
    groups = [few_hidden_of(model, batch.ids[few], batch.block[few], batch.place[few], rows[few, :int(length[few].max())], length[few])
              for few in order.split(4)]
    back = order.argsort()
    return tuple(torch.cat(parts)[back] for parts in zip(*groups))


def few_hidden_of(model, ids, block, place, rows, length):
    videos, n = ids.shape
    device = rows.device
    before = torch.tensor(words.ids(words.BEFORE), device=device)
    rows = F.pad(rows, (0, 0, 0, -(len(before) + rows.shape[1] + n) % 16))  # attention kernels want multiples
    n_seen = len(before) + rows.shape[1]
    text = model.embed_tokens(ids)
    sequence = torch.cat([model.embed_tokens(before).expand(videos, -1, -1), rows.to(text.dtype), text], 1)
    order = torch.arange(n_seen + n, device=device)
    positions = torch.cat([order[:n_seen].expand(videos, -1), place + (len(before) + length)[:, None]], 1)
    there = (order[:n_seen] < (len(before) + length)[:, None])[:, None].expand(-1, n, -1)
    told = ((block[:, None] == block[..., None]) | (block[:, None] == 0)) & (order[:n] <= order[:n, None]) & (block[:, None] >= 0)
    mask = torch.cat([there, told | torch.eye(n, dtype=torch.bool, device=device)], -1)
    return [states[:, n_seen:] for states in model.language(sequence, positions, mask[:, None])]


def answer_loss(model, hidden, batch):
    """Letters weigh five times what other ids do: to find the right option again is the last thing learnt, and they are one id in eight."""
    there = batch.target != IGNORED
    each = F.cross_entropy(model.logits(hidden[there]).float(), batch.target[there], reduction="none")
    return (each * (1 + 4 * (batch.choice[there] > 0))).mean()


def judging_loss(judge, embeddings, halfway, before_last, batch):
    """What letters depend on, step by step, as without it they stay at chance for long. Halfway through the layers the answer's last id
    should be known at the question's end; before the last layer an option should know at its end whether it is the right one, the
    largest score of the four, and which letter it has."""
    if not len(batch.option):
        return before_last.new_zeros(())
    video, asked, ends, right, answer = batch.option.split([1, 1, 4, 1, 1], 1)
    thought = judge["answer"](halfway[video, asked][:, 0]) @ embeddings.T
    said = judge["option"](before_last[video, ends]).float()
    letters = torch.arange(4, device=said.device).expand(len(said), 4)
    return (F.cross_entropy(thought.float(), answer[:, 0]) + F.cross_entropy(said[..., 0], right[:, 0])
            + 0.5 * F.cross_entropy(said[..., 1:].flatten(0, 1), letters.flatten()))


class Judge(nn.ModuleDict):
    """The heads of judging_loss; no checkpoint has them."""

    def __init__(self, width):
        super().__init__({"answer": nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width)),
                          "option": nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 5))})


LETTERS = [words.ids(letter)[0] for letter in "ABCD"]


@torch.no_grad()
def letters_right(model, hidden, batch):
    """Of every question with options: its type, and whether the likeliest letter is the right one."""
    there = batch.choice > 0
    logits = model.logits(hidden[there]).float()[:, LETTERS]
    right = torch.tensor(LETTERS, device=logits.device)[logits.argmax(-1)] == batch.target[there]
    return batch.choice[there] - 1, right


def draw_method(methods, rng):
    """One of the names given; dyntok stands for a threshold of the paper's set, as the paper trains, vq for a number of codes."""
    name = methods[rng.integers(len(methods))]
    return float(rng.choice(DYNTOK_THRESHOLDS)) if name == "dyntok" else f"vq{rng.choice(codes.CODES)}" if name == "vq" else name


def cost_of(n_frames, method):
    """Of a video under a method, in rows of a frame without compression; its questions are as long as three frames."""
    share = 0.25 + 1.1 * (method - 0.4) if isinstance(method, float) else {"none": 1.0}.get(method, 0.25)
    return n_frames * share + 3
