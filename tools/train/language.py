"""Stage 2: projector and language model on questions.

All questions of a video stand in one sequence behind its frames; each sees the frames and itself, nothing of the others (a block mask), at
the positions it would have alone. So the frames are paid for once, and the gradient is that of eight separate prompts. Some questions are
put without options and answered in words, which teaches to see sooner than letters do.
"""

import dataclasses

import numpy as np
import torch
import torch.nn.functional as F

import tower
import words
import world

IGNORED = -100
DYNTOK_THRESHOLDS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclasses.dataclass
class Batch:
    rgb: torch.Tensor      # u8 [videos * frames][112][112][3]
    labels: torch.Tensor   # u8 [videos * frames][14][14][4]
    ids: torch.Tensor      # [videos][n]: the text behind the frames, padded
    block: torch.Tensor    # [videos][n]: 0 what all questions share, else the question; -1 padding
    place: torch.Tensor    # [videos][n]: position from the end of the frames
    target: torch.Tensor   # [videos][n]: the next id where an answer is to be given, else IGNORED
    choice: torch.Tensor   # [videos][n]: 1 + type where a letter is to be given, else 0
    option: torch.Tensor   # [questions with options][6]: video, places of the last ids of the four options, the right one
    n_frames: int

    def to(self, device):
        return dataclasses.replace(self, **{f.name: getattr(self, f.name).to(device, non_blocking=True) for f in dataclasses.fields(self)
                                            if f.name != "n_frames"})


def text_of(questions, rng, plain_share, brief):
    """ids, blocks, places, targets, choices and options of one video's questions."""
    intro, end = words.ids("\n" if brief else words.INTRO), words.ids("<|im_end|>")
    ids, block, place = list(intro), [0] * len(intro), list(range(len(intro)))
    target, choice, option = [IGNORED] * len(intro), [0] * len(intro), []
    for k, (kind, text, options, answer) in enumerate(questions):
        if plainly := rng.random() < plain_share:
            asked, reply = words.ids(words.plain(text, brief)), words.ids(f" {options[answer]}") + end  # in the ids that an option of it has
        else:
            asked, ends = words.choice_ids(text, tuple(options), brief)
            reply = words.ids("ABCD"[answer]) + end
            option.append([len(ids) + at for at in ends] + [answer])
        n = len(asked) + len(reply) - 1
        ids += asked + reply[:-1]
        block += [k + 1] * n
        place += range(len(intro), len(intro) + n)
        target += [IGNORED] * (len(asked) - 1) + reply
        choice += [0] * (len(asked) - 1) + [0 if plainly else 1 + kind] + [0] * (len(reply) - 1)
    return ids, block, place, target, choice, option


def padded(lists, value):
    n = (max(map(len, lists)) + 15) // 16 * 16
    return torch.tensor([row + [value] * (n - len(row)) for row in lists])


def make_batch(videos, n_frames, rng, types=range(len(world.TYPES)), plain_share=0.0, brief=False):
    """A batch about these videos. One frame is any, more are evenly spread from the first to the last."""
    rgb, labels, texts = [], [], []
    for video in videos:
        shown = world.uniform(video.n_frames, n_frames) if n_frames > 1 else rng.integers(0, video.n_frames, 1)
        frames, marks = video.frames(shown)
        rgb.append(frames)
        labels.append(marks)
        texts.append(text_of([q for q in video.questions() if q[0] in types], rng, plain_share, brief))
    *lists, options = zip(*texts)
    ids, block, place, target, choice = (padded(part, value) for part, value in zip(lists, (0, -1, 0, IGNORED, 0)))
    option = torch.tensor([[v, *row] for v, rows in enumerate(options) for row in rows]).view(-1, 6)
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


def compressed(model, features, batch, method):
    """The visual rows of a batch under a method: none, pool, or a threshold of DynTok."""
    side = model.shape.side
    x = features.view(len(batch.ids), batch.n_frames, side, side, -1)
    projected = model.projector(x)
    if method == "pool":
        return merge_rows(pooled(x, 2), pooled(projected, 2), model.image_newline, 2.0)
    return merge_rows(x, projected, model.image_newline, 2.0 if method == "none" else method)


# ---- the sequence -------------------------------------------------------------------------------------------------------------

def hidden_of(model, batch, rows, length):
    """Hidden states of the text behind the frames, [videos][n][d]: final ones, and those before the last layer."""
    videos, n = batch.ids.shape
    device = rows.device
    before = torch.tensor(words.ids(words.BEFORE), device=device)
    rows = F.pad(rows, (0, 0, 0, -(len(before) + rows.shape[1] + n) % 16))  # attention kernels want multiples
    n_before, n_rows = len(before), rows.shape[1]
    text = model.embed_tokens(batch.ids)
    sequence = torch.cat([model.embed_tokens(before).expand(videos, -1, -1), rows.to(text.dtype), text], 1)
    first = torch.arange(n_before + n_rows, device=device).expand(videos, -1)
    positions = torch.cat([first, batch.place + (n_before + length)[:, None]], 1)
    block = torch.cat([torch.zeros(videos, n_before, dtype=torch.long, device=device),
                       torch.where(torch.arange(n_rows, device=device) < length[:, None], 0, -1), batch.block], 1)
    order = torch.arange(block.shape[1], device=device)
    sees = (block[:, None, :] == block[:, :, None]) | (block[:, None, :] == 0)
    sees = sees & (order[None, None, :] <= order[None, :, None]) & (block[:, None, :] >= 0) | torch.eye(len(order), dtype=torch.bool, device=device)
    return (states[:, n_before + n_rows:] for states in model.language(sequence, positions, sees[:, None]))


def answer_loss(model, hidden, batch):
    there = batch.target != IGNORED
    logits = model.logits(hidden[there]).float()
    return F.cross_entropy(logits, batch.target[there])


def judging_loss(judge, before_last, batch):
    """Before the last layer an option should know whether it is the right one: a score at its last id, the largest of the four. Without
    this, letters stay at chance for long, because nothing tells what they depend on."""
    states = before_last[batch.option[:, :1], batch.option[:, 1:5]]
    return F.cross_entropy(judge(states)[..., 0].float(), batch.option[:, 5])


LETTERS = [words.ids(letter)[0] for letter in "ABCD"]


@torch.no_grad()
def letters_right(model, hidden, batch):
    """Of every question with options: its type, and whether the likeliest letter is the right one."""
    there = batch.choice > 0
    logits = model.logits(hidden[there]).float()[:, LETTERS]
    right = torch.tensor(LETTERS, device=logits.device)[logits.argmax(-1)] == batch.target[there]
    return batch.choice[there] - 1, right


def word_ids(names):
    return [words.ids(f" {name}")[-1] for name in names]


GROUPS = ((0, word_ids(words.SHAPES)), (1, word_ids(words.COLOURS)), (2, word_ids([str(n) for n in range(10)])))


def naming_loss(model, features, labels):
    """A projected patch should look like the words for what it shows: its shape, its colour, its digit."""
    projected = model.projector(features).flatten(0, 1)
    flat = labels.flatten(0, 2).long()
    loss = 0
    for column, ids in GROUPS:
        there = (flat[:, column] > 0) & (flat[:, column] <= len(ids))
        logits = projected[there] @ model.embed_tokens.weight[ids].T
        loss = loss + F.cross_entropy(logits.float(), flat[there, column] - 1) / len(GROUPS)
    return loss


def draw_method(methods, rng):
    """One of the names given; dyntok stands for a threshold of the paper's set, as the paper trains."""
    name = methods[rng.integers(len(methods))]
    return float(rng.choice(DYNTOK_THRESHOLDS)) if name == "dyntok" else name
