"""Stage 1: the vision tower on single frames.

Linear heads read off every patch what it shows (shape, colour, digit, of how many it is one, background), its place and its pixels. Beside them stands the loss
that makes row merging worth measuring: an ordinary small tower has cosines of neighbours all near 1, so that every threshold merges all.
Here the renderer knows how alike two patches are, and the cosine is fitted to that rank, through the distribution that the paper's model
has (DynTok, arXiv 2506.03990, table 4: kept 20, 30 and 44 % at thresholds 0.4, 0.5 and 0.6 of rows of 14 with a marker each).
"""

import torch
import torch.nn.functional as F
from torch import nn

import world

CLASSES = {"shape": 10, "colour": 9, "digit": 11, "number": 5, "family": 4}
# Share of neighbours whose cosine is below the value: kept = 1/14 + 13/14 of it.
QUANTILES = torch.tensor([0.0, 0.02, 0.07, 0.138, 0.246, 0.401, 0.58, 0.75, 0.90, 0.97, 1.0])
COSINES = torch.tensor([-0.2, 0.0, 0.25, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0])
COSINE_WEIGHT = 3.0


class Heads(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.classes = nn.ModuleDict({name: nn.Linear(width, n) for name, n in CLASSES.items()})
        self.pixels = nn.Linear(width, 3 * world.PATCH ** 2)
        self.place = nn.Linear(width, 2)


def as_coded(rgb, generator):
    """Frames as they come out of a video: colour at half resolution, small errors of quantisation. u8 in and out, [n][h][w][3]."""
    x = rgb.permute(0, 3, 1, 2).float()
    luma = (x * x.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    chroma = F.avg_pool2d(x - luma, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
    error = 2 * torch.randn(luma.shape, generator=generator, device=x.device)
    return (luma + chroma + error).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def patches(rgb):
    """[n][14][14][192] in -1..1."""
    n = len(rgb)
    x = rgb.float().view(n, world.GRID, world.PATCH, world.GRID, world.PATCH, 3) / 127.5 - 1
    return x.transpose(2, 3).reshape(n, world.GRID, world.GRID, -1)


def wanted_cosines(rgb, labels):
    """What the cosines of neighbours in a row should be, [n][14][13]: their rank in alikeness, through the paper's distribution."""
    x = patches(rgb).unflatten(-1, (world.PATCH, world.PATCH, 3))
    means = x.unflatten(3, (4, 2)).mean((4, 5))  # over rows of two and all columns: 4 x 3
    sides = x.unflatten(4, (4, 2)).mean((3, 5))
    seen = torch.cat([means.flatten(3), sides.flatten(3)], -1)
    differ = (seen[:, :, 1:] - seen[:, :, :-1]).abs().mean(-1)
    known = (labels[:, :, 1:] != labels[:, :, :-1]).float()
    score = differ + 0.3 * known[..., :3].sum(-1).clamp(max=1) + 0.05 * known[..., 2]
    rank = score.flatten().argsort(descending=True).argsort().float() / score.numel()
    quantiles, cosines = QUANTILES.to(rank), COSINES.to(rank)
    k = torch.searchsorted(quantiles, rank, right=True).clamp(1, len(quantiles) - 1)
    share = (rank - quantiles[k - 1]) / (quantiles[k] - quantiles[k - 1])
    return torch.lerp(cosines[k - 1], cosines[k], share).view(score.shape)


def neighbour_cosines(features):
    x = F.normalize(features.unflatten(1, (world.GRID, world.GRID)), dim=-1)
    return (x[:, :, 1:] * x[:, :, :-1]).sum(-1)


def cosine_loss(features, rgb, labels):
    return F.mse_loss(neighbour_cosines(features), wanted_cosines(rgb, labels))


def evenly(loss, there):
    """Patches that show something count as much together as all others: of digits there are two in a hundred."""
    return (loss * there).sum() / there.sum().clamp(min=1) + 0.5 * (loss * ~there).sum() / (~there).sum().clamp(min=1)


def tower_loss(features, heads, rgb, labels):
    """The sum of all losses of frames [n], and each for the log. labels [n][14][14][5]."""
    x = heads.norm(features)
    flat = labels.flatten(1, 2).long()
    parts = {}
    for k, name in enumerate(CLASSES):
        each = F.cross_entropy(heads.classes[name](x).flatten(0, 1).float(), flat[..., k].flatten(), reduction="none")
        parts[name] = each.mean() if name == "family" else evenly(each, flat[..., k].flatten() > 0)
    parts["pixels"] = F.mse_loss(heads.pixels(x), patches(rgb).flatten(1, 2))
    steps = torch.linspace(-1, 1, world.GRID, device=x.device)
    parts["place"] = F.mse_loss(heads.place(x), torch.cartesian_prod(steps, steps).expand(len(x), -1, -1))
    parts["cosine"] = COSINE_WEIGHT * cosine_loss(features, rgb, labels)
    return sum(parts.values()), parts


@torch.no_grad()
def tower_facts(features, heads, labels):
    """For the log: accuracy on patches that show something, and the share of tokens that row merging keeps at two thresholds."""
    x = heads.norm(features)
    flat = labels.flatten(1, 2).long()
    facts = {}
    for k, name in enumerate(("shape", "colour", "digit", "number")):
        there = flat[..., k] > 0
        facts[f"{name} right"] = (heads.classes[name](x).argmax(-1) == flat[..., k])[there].float().mean()
    cosines = neighbour_cosines(features)
    for threshold in (0.4, 0.6, 0.8):
        facts[f"kept at {threshold}"] = 1 / world.GRID + (1 - 1 / world.GRID) * (cosines <= threshold).float().mean()
    return facts
