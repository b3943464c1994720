"""Records tests/fixtures/compressors/pooling.json: pooled grids by torch, as LLaVA-NeXT's get_2dPool calls it, and by ByteVideoLLM's
DynamicSpatialPooling as released.

    git clone https://github.com/Hon-Wong/ByteVideoLLM
    python tools/oracle/compressors/record_pooling.py ByteVideoLLM tests/fixtures/compressors/pooling.json
"""
import math
import sys

import torch
import torch.nn.functional as F

from common import features, revision, upstream_module, write_fixture

WIDTH = 3


def grid(seed, frames, side):
    rows = features(seed, "H", frames * side * side, WIDTH)
    return torch.from_numpy(rows).view(frames, side, side, WIDTH).permute(0, 3, 1, 2)


def flat(pooled):
    return pooled.permute(0, 2, 3, 1).reshape(-1)


def main():
    checkout, out = sys.argv[1:]
    cases = {}
    for side, stride in ((27, 4), (27, 9), (10, 3), (7, 2), (5, 5)):
        x = grid(side, 1, side)
        m = math.ceil(side / stride)
        cases[f"bilinear {side} by {stride}"] = {"side": side, "stride": stride, "out": flat(F.interpolate(x, size=[m, m], mode="bilinear"))}
        cases[f"average {side} by {stride}"] = {"side": side, "stride": stride, "out": flat(F.avg_pool2d(x, stride))}
        cases[f"max {side} by {stride}"] = {"side": side, "stride": stride, "out": flat(F.max_pool2d(x, stride))}
    for side, m in ((27, 5), (27, 8), (9, 4), (6, 5)):
        cases[f"adaptive {side} to {m}"] = {"side": side, "m": m, "out": flat(F.adaptive_avg_pool2d(grid(side, 1, side), (m, m)))}

    module = upstream_module(checkout, "models/adapter/dynamic_spatial_pooling.py", "dynamic_spatial_pooling", stubs=())
    for side, frames, tokens, most in ((9, 3, 100, 576), (9, 3, 30, 16), (9, 3, 2, 576), (6, 2, 72, 36)):
        pooling = module.DynamicSpatialPooling(num_features=WIDTH, in_token_num=side * side, out_token_num=min(most, side * side), max_video_tokens=tokens)
        pooling.eval()
        x = torch.from_numpy(features(side, "H", frames * side * side, WIDTH)).view(frames, side * side, WIDTH)
        result = pooling(x, [frames])[0]
        cases[f"dynamic {side} x {frames} within {tokens}, {most}"] = {
            "side": side, "frames": frames, "tokens": tokens, "most": most, "out": result.reshape(-1)}
    write_fixture(out, f"torch; Hon-Wong/ByteVideoLLM {revision(checkout)} models/adapter/dynamic_spatial_pooling.py", cases)


main()
