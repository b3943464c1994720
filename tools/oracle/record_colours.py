"""Records tests/fixtures/colour: lossless one-frame videos of noise, and beside each the pixels that decord reads from it.

    pip install decord numpy
    python tools/oracle/record_colours.py tests/fixtures/colour        (needs the ffmpeg command)
"""
import pathlib
import subprocess
import sys

import decord
import numpy

WIDTH, HEIGHT = 64, 48
CLIPS = {  # name: pixel format, bytes per pixel, tags
    "untagged": ("yuv420p", 1.5, []),
    "bt709": ("yuv420p", 1.5, ["-colorspace", "bt709"]),
    "full": ("yuv420p", 1.5, ["-color_range", "pc", "-colorspace", "bt709"]),
    "wide": ("yuv422p", 2, []),
    "dense": ("yuv444p", 3, []),
}


def main():
    folder = pathlib.Path(sys.argv[1])
    seeded = numpy.random.default_rng(20240607)
    for name, (pixels, size, tags) in CLIPS.items():
        path = folder / f"{name}.mkv"
        noise = seeded.integers(0, 256, int(WIDTH * HEIGHT * size), dtype=numpy.uint8).tobytes()
        source = ["-f", "rawvideo", "-pix_fmt", pixels, "-s", f"{WIDTH}x{HEIGHT}", *tags, "-i", "-"]
        subprocess.run(["ffmpeg", "-v", "error", "-y", *source, "-c:v", "ffv1", *tags, "-bitexact", path], input=noise, check=True)
        (folder / f"{name}.rgb").write_bytes(decord.VideoReader(str(path))[0].asnumpy().tobytes())


main()
