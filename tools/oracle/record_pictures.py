"""Records tests/fixtures/pictures: small JPEG files, and beside each the pixels that Pillow reads from it.

    pip install pillow numpy
    python tools/oracle/record_pictures.py tests/fixtures/pictures

The pictures are coloured checks, the worst case for the chroma filter: repeating samples is wrong by more than a hundred levels there.
"""
import pathlib
import sys

import numpy
from PIL import Image

WIDTH, HEIGHT = 43, 26


def main():
    folder = pathlib.Path(sys.argv[1])
    seeded = numpy.random.default_rng(20240607)
    checks = seeded.integers(0, 256, (HEIGHT // 5 + 1, WIDTH // 5 + 1, 3)).repeat(5, 0).repeat(5, 1)[:HEIGHT, :WIDTH]
    for subsampling, name in enumerate(("444", "422", "420")):
        path = folder / f"{name}.jpg"
        Image.fromarray(checks.astype(numpy.uint8)).save(path, quality=85, subsampling=subsampling)
        (folder / f"{name}.rgb").write_bytes(Image.open(path).convert("RGB").tobytes())


main()
