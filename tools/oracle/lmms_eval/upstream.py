"""One released lmms-eval behind a door: its own task classes and functions, without what they do not need to score text.

A process holds one release: the recording scripts start one process per release. Packages that are not installed (torch, transformers,
decord, OpenCV, ...) are stood in for by modules whose every name is an empty class; data sets come from the caller instead of the Hub.
"""
import concurrent.futures
import contextlib
import importlib.abc
import importlib.machinery
import json
import multiprocessing
import os
import pathlib
import platform
import random
import re
import sys
import types
import unicodedata

REVISIONS = {"lmms-0.2.3": "v0.2.3.post1 9d00bfa7b5d5e8ed596dcdc89ca53c263b7c19cc",
             "lmms-0.3.0": "v0.3.0 754640a70ba2d8030b9321fb8e021eaa8c0aee3e",
             "lmms-0.3.4": "v0.3.4 a863517758764b2da7be0b5649d68fa744ab73e6", "lmms-head": "75571cfe0fa36ca5ec2e6aa2bb268f9d38295af3"}
PROFILES = list(REVISIONS)
STAMP = "20250601_120000"
FILES = {"perceptiontest_val_mc": "perceptiontest_mc"}  # task -> stem of its file, where that is another name

# What the six benchmarks' modules and the evaluator import but never call on the way from a row to a number.
ABSENT = {"torch", "torchvision", "transformers", "accelerate", "decord", "cv2", "nltk", "pywsd", "openai", "av", "evaluate", "peft",
          "librosa", "soundfile", "scipy", "sentencepiece", "wandb", "spacy", "moviepy", "qwen_vl_utils", "timm", "einops", "sacrebleu",
          "anthropic", "pycocoevalcap", "zss", "terminaltables", "tiktoken", "Levenshtein", "rouge", "dotenv", "httpx", "aiohttp",
          "hf_transfer"}


class _Anything(type):
    """A class that has every attribute, is a decorator, and never matches isinstance()."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return _Anything(name, (), {})

    def __call__(cls, *arguments, **keywords):
        return arguments[0] if len(arguments) == 1 and callable(arguments[0]) and not keywords else cls

    def __iter__(cls):
        return iter(())

    def __enter__(cls):
        return cls

    def __exit__(cls, *error):
        return False

    def __instancecheck__(cls, instance):
        return False


class _AbsentModule(types.ModuleType):
    __path__ = []

    def __getattr__(self, name):
        if name == "__version__":
            return "0.0.0"
        if name.startswith("__"):
            raise AttributeError(name)
        value = _Anything(name, (), {})
        setattr(self, name, value)
        return value


class _AbsentFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return _AbsentModule(spec.name)

    def exec_module(self, module):
        pass


class Video:
    """cv2.VideoCapture as the subtitle prompts use it. `known` says what OpenCV would: {file stem: (fps, frames)}; else it is not there."""
    known = {}

    def __init__(self, path):
        self.fps, self.frames = self.known.get(pathlib.Path(path).stem, (0.0, 0)) if "/data/" in path else (0.0, 0)

    def get(self, what):
        return float({"fps": self.fps, "frames": self.frames}[what])


class Upstream:
    """The release in `root` (a folder that holds lmms_eval/), with `home` as HF_HOME, where subtitles are looked for."""

    def __init__(self, root, home):
        os.environ["HF_HOME"] = str(home)
        os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
        import datasets  # before the stand-ins: it asks which of them are there
        import loguru
        import tqdm
        loguru.logger.remove()
        sys.meta_path.append(_AbsentFinder())
        sys.path.insert(0, str(root))
        import cv2
        cv2.VideoCapture, cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT = Video, "fps", "frames"
        import torch
        torch.distributed.is_available = torch.distributed.is_initialized = lambda: False
        self.root, self.datasets, self.log, self.tqdm = pathlib.Path(root), datasets, loguru.logger, tqdm
        from lmms_eval.api.task import ConfigurableTask
        from lmms_eval.utils import load_yaml_config
        self.rows = {}  # {task: [row, ...]}: what a task finds instead of its data set
        self._task, self._load_yaml = ConfigurableTask, load_yaml_config
        self._files = {path.stem: path for path in (self.root / "lmms_eval" / "tasks").rglob("*.yaml")}
        ConfigurableTask.download = lambda task, _kwargs=None: self._download(task)

    def _download(self, task):
        task.dataset = task.dataset_no_image = {task.config.test_split: self.datasets.Dataset.from_list(self.rows[task.config.task])}

    def has(self, task):
        return FILES.get(task, task) in self._files

    def task(self, name, model, rows, **changes):
        """The task as `--model model --tasks name` makes it, over `rows` (a list of dicts), with changes to its file."""
        self.rows[name] = rows
        config = self._load_yaml(yaml_path=str(self._files[FILES.get(name, name)]))
        return self._task(config={**config, **changes}, model_name=model)

    def evaluate(self, name, rows, replies, folder, **changes):
        """The release's evaluator on one task: what it returns, and the lines it logs. `folder` is for files it leaves about."""
        import lmms_eval.evaluator
        task, said = self.task(name, "llava_vid", rows, **changes), []
        arguments = self._arguments(["--output_path", str(folder)])
        sink = self.log.add(lambda message: said.append(message.rstrip("\n")), format="{message}", level="INFO")
        found = lmms_eval.evaluator.evaluate(lm=Replier({name: replies}), task_dict={name: task}, cli_args=arguments)
        self.log.remove(sink)
        return found, said

    def run(self, command, rows, replies):
        """What the release's command line does: `rows` and `replies` are {task: list}. The stamp of its files is STAMP."""
        import lmms_eval.utils
        lmms_eval.utils.get_datetime_str = lambda timezone=None: STAMP
        import lmms_eval.evaluator
        import lmms_eval.models
        from lmms_eval.__main__ import cli_evaluate_single
        lmms_eval.models.get_model = lmms_eval.evaluator.get_model = lambda *_name: Replier(replies)
        self.rows = rows
        return cli_evaluate_single(self._arguments(command))

    def _arguments(self, command):
        from lmms_eval.__main__ import parse_eval_args
        sys.argv = ["lmms-eval", *command]
        parsed = parse_eval_args()
        return parsed[1] if isinstance(parsed, tuple) else parsed


class Replier:
    """A model that says {task: [reply of each document]}."""
    rank = _rank = 0
    world_size = _world_size = 1
    device, is_simple = "cpu", True

    class accelerator:
        wait_for_everyone = staticmethod(lambda: None)

    def __init__(self, replies):
        self.replies, self.task_dict = replies, {}

    def create_from_arg_string(self, _arguments, _more=None):
        return self

    def generate_until(self, requests):
        return [self.replies[request.task_name][request.doc_id] for request in requests]

    def clean(self):
        pass


def releases(arguments):
    """["lmms-0.3.4=folder", ...] -> [(profile, folder), ...]; every release must be there."""
    found = dict(argument.split("=", 1) for argument in arguments)
    if list(found) != PROFILES:
        raise SystemExit("expected " + " ".join(name + "=FOLDER" for name in PROFILES))
    return [(profile, folder) for profile, folder in found.items()]


def in_own_process(function, *arguments):
    """The function's value from a fresh interpreter: two releases cannot share one, and sets of strings come in one order there."""
    os.environ["PYTHONHASHSEED"] = "0"
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def without_paths(text):
    """An error message without the folders of the machine that recorded it."""
    return re.sub(r"(/[^/\s:']+)+/", "", text)


def write_versions(out):
    import numpy
    import pyarrow
    import datasets
    versions = {"lmms_eval": REVISIONS, "python": platform.python_version(), "unicode": unicodedata.unidata_version,
                "numpy": numpy.__version__, "pyarrow": pyarrow.__version__, "datasets": datasets.__version__}
    (out / "versions.json").write_text(json.dumps(versions, indent=1) + "\n")


def keep_returns(task, name):
    """A list that gets what the function `name` of the task's utils.py returns from now on; empty if there is no such function."""
    names, returned = task.config.process_results.__globals__, []
    if name in names:
        original = names[name]

        def keeping(*arguments):
            returned.append(original(*arguments))
            return returned[-1]
        names[name] = keeping
    return returned


def count_draws():
    """A function that says how often random.choice was called since."""
    original, count = random.choice, [0]

    def choice(letters):
        count[0] += 1
        return original(letters)
    random.choice = choice
    return lambda: count[0]


@contextlib.contextmanager
def after_each_row(call):
    """Calls `call(row)` whenever a task has scored a row."""
    from lmms_eval.api.task import ConfigurableTask
    original = ConfigurableTask.process_results

    def process_results(task, doc, *arguments, **keywords):
        scores = original(task, doc, *arguments, **keywords)
        call(doc)
        return scores
    ConfigurableTask.process_results = process_results
    try:
        yield
    finally:
        ConfigurableTask.process_results = original
