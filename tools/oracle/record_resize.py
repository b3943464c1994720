"""Records tests/fixtures/resize.txt: what Pillow's bicubic makes of generated pictures.

    pip install "pillow<12.2" numpy
    python tools/oracle/record_resize.py > tests/fixtures/resize.txt

Up to 12.1 Pillow always resizes rows before columns, as when the published numbers were made; later versions change the order for
some shapes and differ there by a grey level. The generator is repeated in tests/unit/datasets/test_resize.c.
"""
import hashlib

import numpy
import PIL
from PIL import Image

SIZES = [(1, 1), (1, 7), (5, 1), (2, 2), (3, 5), (17, 31), (31, 17), (64, 48), (100, 100), (108, 108), (3, 640), (640, 3), (176, 144),
         (320, 240), (333, 257), (384, 384), (360, 640), (640, 360)]
TARGETS = [(384, 384), (108, 108), (14, 14), (1, 1), (27, 14)]
ROWS = [(8, 4), (4, 10), (1, 5), (20, 3), (7, 7)]


def picture(kind, seed, width, height):
    x = numpy.arange(width * height * 3, dtype=numpy.uint64) + numpy.uint64(seed * 1000003)
    x = x * numpy.uint64(0x9E3779B1) & numpy.uint64(0xFFFFFFFF)
    x ^= x >> numpy.uint64(15)
    x = x * numpy.uint64(0x85EBCA77) & numpy.uint64(0xFFFFFFFF)
    level = (x >> numpy.uint64(24)).astype(numpy.uint8)
    if kind == "hard":
        level = numpy.where(level < 128, 0, 255).astype(numpy.uint8)
    return Image.fromarray(level.reshape(height, width, 3))


def main():
    assert tuple(int(part) for part in PIL.__version__.split(".")[:2]) < (12, 2), "this Pillow resizes tall pictures in another order"
    print(f"# Pillow {PIL.__version__}, made by tools/oracle/record_resize.py")
    print("# sum KIND SEED WIDTH HEIGHT TO_WIDTH TO_HEIGHT SHA256, row KIND SEED WIDTH TO_WIDTH BYTES")
    seed = 0
    for size in SIZES:
        for target in TARGETS + [(size[0], 50), (50, size[1])]:
            kind = ("noise", "hard")[seed % 2]
            resized = picture(kind, seed, *size).resize(target, Image.Resampling.BICUBIC)
            print("sum", kind, seed, *size, *target, hashlib.sha256(resized.tobytes()).hexdigest())
            seed += 1
    for width, target in ROWS:
        resized = picture("hard", seed, width, 1).resize((target, 1), Image.Resampling.BICUBIC)
        print("row hard", seed, width, target, resized.tobytes().hex())
        seed += 1


main()
