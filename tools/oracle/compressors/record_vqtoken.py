"""Records tests/fixtures/compressors/vqtoken.json: clusters, adaptive numbers of clusters and fused tokens by VQToken's released code.

    git clone https://github.com/Hai-chao-Zhang/VQToken
    python tools/oracle/compressors/record_vqtoken.py VQToken tests/fixtures/compressors/vqtoken.json

Two things are not the released code's. Its k-means++ draws from torch's global generator; here the seeds are drawn by the same rule from
the program's counter-based one. Its fixed-K helper passes k-means arguments that it does not accept, so the class is called directly.
`faiss`, which the silhouette asks for the inner products of nearest neighbours, is stood in for by those inner products.
The fusion as the paper writes it has no released code: it is written down here in torch modules.
"""
import sys
import types

import numpy
import torch

from common import features, revision, rng_stream, rng_unit, upstream_module, write_fixture

WIDTH, HEADS = 16, 8


class IndexFlatIP:
    def __init__(self, width):
        self.rows = numpy.zeros((0, width), dtype=numpy.float32)

    def add(self, rows):
        self.rows = numpy.concatenate([self.rows, rows])

    def search(self, rows, top_k):
        products = rows @ self.rows.T
        order = numpy.argsort(-products, axis=1)[:, :top_k]
        return numpy.take_along_axis(products, order, axis=1), order


def seeds(unit, k, seed, video):
    """k-means++ over unit vectors with the program's draws: squared distance to the nearest seed, plus 1e-6."""
    unit = unit.double().numpy()
    weight = numpy.ones(len(unit))
    chosen = []
    for i in range(k):
        draw = rng_unit(seed, rng_stream("k-means++") ^ video, i)
        reached = numpy.nonzero(numpy.cumsum(weight) > draw * weight.sum())[0]
        row = int(reached[0]) if len(reached) else len(unit) - 1
        chosen.append(row)
        distance = numpy.maximum(((unit - unit[row]) ** 2).sum(axis=1), 0) + 1e-6
        weight = distance if i == 0 else numpy.minimum(weight, distance)
    return chosen


def weights(seed, name, shape):
    """oracle_weights() of tests/unit/compressors/test_vqtoken.c."""
    count = int(numpy.prod(shape))
    values = (rng_unit(seed, rng_stream(name), numpy.arange(count)) - 0.5) * 0.5
    return torch.from_numpy(values.astype(numpy.float32)).reshape(shape)


def fill(module, prefix, seed):
    module.load_state_dict({name: weights(seed, prefix + name, tensor.shape) for name, tensor in module.state_dict().items()})
    return module.eval()


class Upstream:
    def __init__(self, checkout):
        sys.modules["faiss"] = types.SimpleNamespace(IndexFlatIP=IndexFlatIP)
        upstream_module(checkout, "VQToken/__init__.py", "VQToken")
        self.cluster = upstream_module(checkout, "VQToken/cluster.py", "VQToken.cluster")
        sys.modules["VQToken.cluster"] = self.cluster
        self.token = upstream_module(checkout, "VQToken/vq_token.py", "vq_token")
        self.attn = upstream_module(checkout, "VQToken/vq_attn.py", "vq_attn")

    def seed_with(self, seed, video):
        self.cluster.KMeansTorch.sample_init_centroids = lambda kmeans, x: x[seeds(x, kmeans.num_clusters, seed, video)]

    def fixed(self, tokens, k):
        """kmeans_clustering_tokens_torch with arguments that its k-means accepts."""
        flat = tokens.reshape(-1, tokens.shape[-1])
        unit = flat / flat.norm(dim=-1, keepdim=True)
        labels, _ = self.cluster.KMeansTorch(num_clusters=k, max_iteration=50).fit(unit)
        means = torch.stack([unit[labels == i].mean(dim=0) if (labels == i).any() else torch.zeros(unit.shape[1]) for i in range(k)])
        return labels.view(tokens.shape[:2]), means


def video(seed, frames, side):
    return torch.from_numpy(features(seed, "H", frames * side * side, WIDTH)).view(frames, side * side, WIDTH)


class PaperFusion(torch.nn.Module):
    def __init__(self, labels, k, hidden):
        super().__init__()
        self.mlp = torch.nn.Sequential(torch.nn.Linear(labels, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, k * WIDTH))
        self.in_proj = torch.nn.Linear(WIDTH, 3 * WIDTH)
        self.out_proj = torch.nn.Linear(WIDTH, WIDTH)

    def forward(self, labels, base):
        motion = self.mlp(labels.flatten()).view(base.shape)
        attention = torch.nn.MultiheadAttention(WIDTH, HEADS)
        attention.load_state_dict({"in_proj_weight": self.in_proj.weight, "in_proj_bias": self.in_proj.bias,
                                   "out_proj.weight": self.out_proj.weight, "out_proj.bias": self.out_proj.bias})
        return attention.eval()(base[:, None], base[:, None], motion[:, None], need_weights=False)[0][:, 0]


@torch.no_grad()
def main():
    checkout, out = sys.argv[1:]
    upstream = Upstream(checkout)
    cases = {}
    for seed, (frames, side, k) in enumerate([(1, 5, 3), (3, 6, 5), (2, 9, 12), (4, 7, 32)]):
        upstream.seed_with(seed, 100 + seed)
        labels, means = upstream.fixed(video(seed, frames, side), k)
        cases[f"fixed {frames} x {side} x {side} to {k}"] = {
            "frames": frames, "side": side, "seed": seed, "video": 100 + seed, "k": k, "labels": labels.flatten(), "means": means}
    for seed, frames, side, most, method in [(0, 2, 7, 20, "elbow"), (4, 3, 6, 32, "elbow"), (11, 3, 6, 32, "elbow"), (3, 2, 6, 16, "silhouette")]:
        upstream.seed_with(seed, 200 + seed)
        labels, means = upstream.token.adaptive_kmeans_clustering_tokens_torch(video(seed, frames, side), max_K=most, method=method)
        cases[f"{method}_released {frames} x {side} x {side} to {most}, {seed}"] = {
            "frames": frames, "side": side, "seed": seed, "video": 200 + seed, "most": most, "k": len(means), "labels": labels.flatten()}
    for seed, (frames, k) in enumerate([(2, 5), (4, 4), (7, 3), (1, 4)]):
        upstream.seed_with(seed, 300 + seed)
        labels, means = upstream.fixed(video(seed, frames, 3), k)
        fusion = fill(upstream.attn.VQAttn(query_dim=9, context_dim=WIDTH, num_heads=HEADS), "model.cross_attention.", seed)
        cases[f"fused {frames} x 3 x 3 to {k}"] = {
            "frames": frames, "side": 3, "seed": seed, "video": 300 + seed, "k": k,
            "out": fusion.cross_attention_weighted_clusters(labels.float(), means)}
    for seed, (frames, k, hidden) in enumerate([(2, 4, 10), (3, 6, 5)]):
        upstream.seed_with(seed, 400 + seed)
        labels, means = upstream.fixed(video(seed, frames, 3), k)
        fusion = fill(PaperFusion(frames * 9, k, hidden), "model.vq_attention.", seed)
        cases[f"fused_paper {frames} x 3 x 3 to {k}"] = {
            "frames": frames, "side": 3, "seed": seed, "video": 400 + seed, "k": k, "hidden": hidden, "out": fusion(labels.float(), means)}
    write_fixture(out, f"Hai-chao-Zhang/VQToken {revision(checkout)} VQToken/", cases)


main()
