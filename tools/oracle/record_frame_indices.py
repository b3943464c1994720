"""Records tests/fixtures/frame_indices.txt: the frames that the original scripts would show.

    pip install numpy
    python tools/oracle/record_frame_indices.py > tests/fixtures/frame_indices.txt

uniform  numpy.linspace with an integer type (lmms-eval's llava_onevision)
1fps     every round(fps)-th frame, uniform when those are too many (llava_vid)
centre   centres of equal segments between two bounds (MVBench's notebook)

Each line sums up many videos: the digest is over the indices of all lengths 1..LONGEST, as little-endian 32-bit numbers.
"""
import hashlib

import numpy

LONGEST = 2500
COUNTS = [1, 2, 3, 4, 8, 16, 20, 32, 64, 96, 128, 160, 768]
RATES = [0.2, 0.5, 1, 1.5, 2.5, 10, 23.976023976023978, 25, 29.97002997002997, 59.94, 1000.0]


def uniform(n, most):
    return numpy.linspace(0, n - 1, most, dtype=int)


def one_per_second(n, fps, most):
    stride = max(round(fps), 1)
    indices = list(range(0, n, stride))
    return uniform(n, most) if len(indices) > most else indices


def centre(first, last, most):
    segment = float(last - first) / most
    return [int(first + segment / 2 + numpy.round(segment * i)) for i in range(most)]


def digest(rows):
    total = hashlib.sha256()
    for row in rows:
        total.update(numpy.asarray(row, dtype="<u4").tobytes())
    return total.hexdigest()


def main():
    lengths = range(1, LONGEST + 1)
    print(f"# numpy {numpy.__version__}, made by tools/oracle/record_frame_indices.py")
    print("# RULE LONGEST FPS MOST SHA256; centre: of the middle half of every length")
    for most in COUNTS:
        print("uniform", LONGEST, 0, most, digest(uniform(n, most) for n in lengths))
    for fps in RATES:
        for most in (20, 64):
            print("1fps", LONGEST, repr(float(fps)), most, digest(one_per_second(n, fps, most) for n in lengths))
    for most in (1, 4, 8, 16, 64):
        print("centre", LONGEST, 0, most, digest(centre(n // 4, n // 4 + (n - 1) // 2, most) for n in lengths))


main()
