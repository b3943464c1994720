"""The tiny world for Python: the program's own renderer (world/), compiled into a shared object and called without encoding anything.

Nothing but a C compiler is needed. Calls release Python's lock, so threads render at once.
"""

import ctypes
import functools
import hashlib
import os
import pathlib
import subprocess
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIDE, PATCH, GRID, QUESTIONS, OPTIONS = 112, 8, 14, 8, 4
DURATIONS = (32, 128, 384)
TYPES = ("Attribute Perception", "Object Recognition", "OCR Problems", "Spatial Perception", "Counting Problem", "Temporal Perception",
         "Temporal Reasoning", "Action Recognition", "Information Synopsis")
SCENE_BYTES = 4096  # room for struct world_scene, whose layout is the renderer's own


class Question(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int), ("answer", ctypes.c_int), ("text", ctypes.c_char * 64),
                ("options", (ctypes.c_char * 32) * OPTIONS)]


@functools.cache
def library():
    """The renderer, compiled once for each state of its sources."""
    sources = [ROOT / "world" / name for name in ("scene.c", "frame.c", "questions.c")]
    headers = [ROOT / "world/world.h", ROOT / "core/rng.h"]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in [*sources, *headers])).hexdigest()[:16]
    folder = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "toksweep"
    path = folder / f"world-{digest}.so"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as made:
            subprocess.run(["cc", "-std=c17", "-O3", "-march=native", "-fPIC", "-shared", f"-I{ROOT}", "-o", f"{made}/world.so",
                            *map(str, sources)], check=True)
            os.replace(f"{made}/world.so", path)
    world = ctypes.CDLL(str(path))
    world.world_scene_draw.argtypes = [ctypes.c_void_p, ctypes.c_uint64, ctypes.c_int]
    world.world_video_draw.argtypes = [ctypes.c_void_p, ctypes.c_int]
    world.world_frame_render.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
    world.world_questions_ask.argtypes = [ctypes.c_void_p, ctypes.c_uint64, ctypes.c_void_p]
    for name in ("world_scene_draw", "world_video_draw", "world_frame_render", "world_questions_ask"):
        getattr(world, name).restype = None
    return world


class Video:
    """A scene: video `number` of the benchmark, or one of any seed and number of frames."""

    def __init__(self, number=None, seed=None, n_frames=None):
        self.scene = ctypes.create_string_buffer(SCENE_BYTES)
        if seed is None:
            self.number, self.n_frames = number, DURATIONS[number % 3]
            library().world_video_draw(self.scene, number)
        else:
            self.number, self.n_frames = seed, n_frames
            library().world_scene_draw(self.scene, seed, n_frames)

    def frames(self, indices):
        """RGB [n][112][112][3] and labels [n][14][14][5]: shape, colour, digit, number of a crowd, family (world.h)."""
        rgb = np.empty((len(indices), SIDE, SIDE, 3), np.uint8)
        labels = np.empty((len(indices), GRID, GRID, 5), np.uint8)
        for k, i in enumerate(indices):
            library().world_frame_render(self.scene, int(i), rgb[k].ctypes.data, labels[k].ctypes.data)
        return rgb, labels

    def questions(self):
        """Eight of (type, text, options, index of the right one)."""
        asked = (Question * QUESTIONS)()
        library().world_questions_ask(self.scene, self.number, asked)
        return [(q.type, q.text.decode(), [option.value.decode() for option in q.options], q.answer) for q in asked]


def uniform(n_frames, n):
    """Indices of n frames, as the program's frame rule `uniform` takes them."""
    return np.linspace(0, n_frames - 1, n, dtype=int)
