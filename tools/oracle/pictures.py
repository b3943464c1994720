"""Pictures made of integers: the two frames of the stage fixtures, and random ones with flat and busy areas."""

import numpy as np

FRAME_W, FRAME_H = 120, 90


def frame(t):
    """Frame t of the fixture video, u8 [90][120][3]. The tests in C make the same bytes from the same formula.

    The picture is a 5 x 5 board of cells 24 wide and 18 high; cell kind (x/24 + y/18 + t) % 4 is
    0 flat, 1 a slope, 2 a busy pattern, 3 the busy pattern faded into the flat colour.
    """
    y, x, c = np.meshgrid(np.arange(FRAME_H), np.arange(FRAME_W), np.arange(3), indexing="ij")
    flat = 30 + 70 * c + 10 * t
    slope = (2 * x + y + 40 * c) & 255
    busy = ((x * 7 + y * 13 + c * 29 + t * 31) ^ (x * y >> 3)) & 255
    faded = (busy + 3 * flat) >> 2
    kind = (x // 24 + y // 18 + t) % 4
    return np.choose(kind, [flat, slope, busy, faded]).astype(np.uint8)


def random_picture(rng, size=108):
    """A slope in two colours with three to eight discs, boxes and stripes, some of them noisy; u8 [size][size][3]."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float64) / size
    along = np.clip(x * rng.uniform(-1, 1) + y * rng.uniform(-1, 1) + 0.5, 0, 1)[..., None]
    picture = along * rng.uniform(0, 255, 3) + (1 - along) * rng.uniform(0, 255, 3)
    for _ in range(rng.integers(3, 9)):
        cx, cy, r = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.05, 0.4)
        inside = [(x - cx) ** 2 + (y - cy) ** 2 < r * r,
                  (abs(x - cx) < r) & (abs(y - cy) < r * rng.uniform(0.3, 1)),
                  np.sin((x + y * rng.uniform(-1, 1)) * rng.uniform(20, 90)) * (abs(y - cy) < r) > 0.2][rng.integers(3)]
        paint = rng.uniform(0, 255, 3) + rng.choice([0, 0, 15, 60]) * rng.standard_normal((size, size, 3))
        picture = np.where(inside[..., None], paint, picture)
    return np.clip(picture, 0, 255).astype(np.uint8)
