"""Token Dynamics, later VQToken (arXiv 2503.16980), as its training sees it: a video's patches in k codes, and the module that fuses them
with the map of which code stands where. The module is the released one (VQToken/vq_attn.py), its parameters have the released names.
"""

import torch
import torch.nn.functional as F
from torch import nn

CODES = (12, 16, 32)  # drawn from for training: fixed lengths, and what the adaptive ones come to
HEADS = 8
ROW = 0.2  # deviation of what the projector gives to the language model


class Fusion(nn.Module):
    """Each frame's label numbers are one query; queries and codes are repeated to the length of the longer, max(frames, k) tokens."""

    def __init__(self, patches, width):
        super().__init__()
        self.to_q_proj = nn.Linear(patches, width)
        layer = nn.TransformerDecoderLayer(width, HEADS, 4 * width, dropout=0.0, batch_first=True)
        self.transformer_decoder = nn.TransformerDecoder(layer, 1)
        self.begin(width)

    @torch.no_grad()
    def begin(self, width):
        """Begins as means of codes, as large as a projected row: label numbers say nothing of what a code shows, and drowned the codes."""
        layer = self.transformer_decoder.layers[0]
        self.to_q_proj.weight.mul_(0.02)
        nn.init.normal_(self.to_q_proj.bias)
        nn.init.zeros_(layer.self_attn.out_proj.weight)
        layer.multihead_attn.in_proj_weight[:width].mul_(3)
        layer.multihead_attn.in_proj_weight[2 * width:].copy_(width ** 0.5 * torch.eye(width))
        layer.multihead_attn.out_proj.weight.copy_(torch.eye(width))
        nn.init.constant_(layer.norm3.weight, ROW)

    def forward(self, codes, labels):
        """codes [v][k][width], labels [v][t][patches] -> [v][max(t, k)][width]."""
        queries = self.to_q_proj(labels.float())
        n = max(queries.shape[1], codes.shape[1])
        queries, codes = (x[:, torch.arange(n, device=x.device) % x.shape[1]] for x in (queries, codes))
        return self.transformer_decoder(queries, codes)


def sums_by(labels, rows, k):
    """[v][k][width] sums of the rows of each label, and how many they are."""
    which = F.one_hot(labels, k).to(rows.dtype)
    return which.transpose(1, 2) @ rows, which.sum(1)[..., None]


@torch.no_grad()
def seeds(rows, draws):
    """k-means++: of rows [v][n][width] as many as draws [v][k] from 0..1, by the squared distance to the nearest chosen before."""
    weight, chosen = torch.ones(rows.shape[:2], dtype=torch.float64, device=rows.device), []
    for i, draw in enumerate(draws.T):
        sums = weight.cumsum(1)
        at = torch.searchsorted(sums, draw[:, None] * sums[:, -1:], right=True).clamp(max=rows.shape[1] - 1)
        row = rows.gather(1, at[..., None].expand(-1, -1, rows.shape[2]))
        distance = (2 - 2 * (rows @ row.transpose(1, 2))[..., 0].double()).clamp(min=0) + 1e-6
        weight = distance if i == 0 else torch.minimum(weight, distance)
        chosen.append(row)
    return torch.cat(chosen, 1)


@torch.no_grad()
def labels_of(rows, k, steps=20, draws=None):
    """Which of k codes each of the unit rows [v][n][width] belongs to: cosine k-means."""
    codes = seeds(rows, torch.rand(len(rows), k, dtype=torch.float64, device=rows.device) if draws is None else draws)
    for _ in range(steps):
        labels = (rows @ F.normalize(codes, dim=-1).transpose(1, 2)).argmax(-1)
        sums, counts = sums_by(labels, rows, k)
        codes = torch.where(counts > 0, sums / counts.clamp(min=1), codes)
    return labels


def fused(fusion, projected, n_frames, k, newline, **clustering):
    """The rows of videos [v * t][patches][width] as k codes, a marker behind them, and how many they are."""
    rows = F.normalize(projected.unflatten(0, (-1, n_frames)).flatten(1, 2), dim=-1)
    labels = labels_of(rows.detach(), k, **clustering)
    sums, counts = sums_by(labels, rows, k)
    tokens = fusion(sums / counts.clamp(min=1), labels.unflatten(1, (n_frames, -1)))
    tokens = torch.cat([tokens, newline.expand(len(tokens), 1, -1)], 1)
    return tokens, torch.full((len(tokens),), tokens.shape[1], device=tokens.device)
