"""Records tests/fixtures/compressors/dytok.json: what DyToK makes of the weights of frames that its detection pass collected layer by layer,
by the block of its generation in which they become budgets.

    git clone https://github.com/yu-lin-li/DyToK
    python tools/oracle/compressors/record_dytok.py DyToK tests/fixtures/compressors/dytok.json
"""
import sys
from types import SimpleNamespace

import numpy
import torch

from common import released_block, revision, rng_stream, rng_unit, write_fixture

BEGIN, END = "# Aggregate frame weights across layers", "# Register VisionZip metadata with dynamic token budgets"


def weights(seed, layers, T, power):
    """f32 [layers][T], as tests/unit/compressors/test_dytok.c makes them: the larger the power, the more of them goes to few frames."""
    unit = rng_unit(seed, rng_stream("frame weights"), numpy.arange(layers * T)).reshape(layers, T)
    steep = numpy.ones_like(unit)
    for _ in range(power):
        steep = steep * unit
    return steep.astype(numpy.float32)


def main():
    checkout, out = sys.argv[1:]
    block = released_block(f"{checkout}/dytok/visionzip/utils.py", BEGIN, END)
    cases, seed = {}, 0
    for T, layers in ((1, 1), (2, 8), (7, 3), (32, 8), (64, 8)):
        for dominant, contextual in ((126, 21), (84, 14), (42, 7), (30, 5), (12, 2), (1, 0)):
            for cap, power in ((196, 1), (196, 6), (dominant + contextual + 3, 3)):
                seed += 1
                collected = weights(seed, layers, T, power)
                self = SimpleNamespace(tracker=SimpleNamespace(dytok_info={"frame_weights": list(torch.from_numpy(collected))}),
                                       dominant=dominant, contextual=contextual, upper_limit=cap)
                space = {"torch": torch, "self": self, "images": [torch.zeros(T)]}
                exec(block, space)
                kept, first = space["integer_parts"].long(), space["dominant_num"].long()
                assert kept.sum() == (dominant + contextual) * T and (first + space["contextual_num"].long() == kept).all()
                cases[f"{T} frames, {dominant} and {contextual}, at most {cap}, power {power}"] = {
                    "seed": seed, "layers": layers, "T": T, "power": power, "each": dominant + contextual, "cap": cap,
                    "budgets": kept, "dominant": first}
    write_fixture(out, f"yu-lin-li/DyToK {revision(checkout)} dytok/visionzip/utils.py", cases)


main()
