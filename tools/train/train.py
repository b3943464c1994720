"""Trains the tiny world's models. One command per stage; each resumes where it was killed, on a CPU or on a GPU.

    python train.py tower    --shape C --out run --steps 2000
    python train.py language --shape C --out run --steps 20000
    python train.py export   --out run --to checkpoint
"""

import argparse
import concurrent.futures
import json
import math
import os
import pathlib
import time

import numpy as np
import torch

import model as models
import tower
import words
import world


# ---- what every stage needs -----------------------------------------------------------------------------------------------------

class Run:
    """A stage under way: its folder, its step, its clock, and what is saved of it."""

    def __init__(self, options, stage, modules, rates):
        self.folder, self.stage, self.modules = pathlib.Path(options.out), stage, modules
        self.folder.mkdir(parents=True, exist_ok=True)
        self.optimiser = torch.optim.AdamW([{"params": [p for p in module.parameters() if p.requires_grad], "lr": rate, "peak": rate}
                                            for module, rate in rates], betas=(0.9, 0.98), weight_decay=0.01)
        self.step, self.steps, self.warm = 0, options.steps, max(1, min(200, options.steps // 10))
        self.deadline = time.monotonic() + options.minutes * 60 if options.minutes else math.inf
        self.saved, self.every = time.monotonic(), options.save_every
        self.path = self.folder / f"{stage}.pt"
        self.sums, self.n_sums = {}, 0
        if self.path.exists():
            kept = torch.load(self.path, map_location="cpu", weights_only=True)
            for name, module in modules.items():
                module.load_state_dict(kept[name])
            self.optimiser.load_state_dict(kept["optimiser"])
            self.step = kept["step"]

    def going(self):
        return self.step < self.steps and time.monotonic() < self.deadline

    def improve(self, loss):
        share = min(1, (self.step + 1) / self.warm) * (0.05 + 0.95 * (0.5 + 0.5 * math.cos(math.pi * self.step / self.steps)))
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * share
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        for group in self.optimiser.param_groups:
            torch.nn.utils.clip_grad_norm_(group["params"], 1.0)
        self.optimiser.step()
        self.step += 1

    def note(self, facts, every):
        """Collects means and writes them to the log, a line of JSON, every so many steps."""
        for name, value in facts.items():
            total, n = self.sums.get(name, (0.0, 0))
            value = float(torch.as_tensor(value).detach())
            if not math.isnan(value):
                self.sums[name] = (total + value, n + 1)
        if self.step % every == 0:
            line = {"stage": self.stage, "step": self.step, "time": round(time.time())}
            line |= {name: round(total / n, 4) for name, (total, n) in self.sums.items() if n}
            with open(self.folder / "log.jsonl", "a") as log:
                log.write(json.dumps(line) + "\n")
            print(json.dumps(line), flush=True)
            self.sums = {}
        if time.monotonic() - self.saved > self.every:
            self.save()

    def save(self):
        kept = {name: module.state_dict() for name, module in self.modules.items()}
        kept |= {"optimiser": self.optimiser.state_dict(), "step": self.step}
        torch.save(kept, f"{self.path}.part")
        os.replace(f"{self.path}.part", self.path)
        self.saved = time.monotonic()


def ahead(make, first, workers, depth):
    """make(first), make(first + 1), ... computed by threads that run `depth` calls ahead."""
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        waiting = [pool.submit(make, first + k) for k in range(depth)]
        step = first + depth
        try:
            while True:
                yield waiting.pop(0).result()
                waiting.append(pool.submit(make, step))
                step += 1
        finally:
            for future in waiting:
                future.cancel()


def training_seed(seed, step, k):
    """Seeds of training scenes: far from the benchmark's, which are hashes."""
    return (seed << 48) + (step << 16) + k


def load_into(module, options, stage):
    path = pathlib.Path(options.out) / f"{stage}.pt"
    if not path.exists():
        raise SystemExit(f"no '{path}': train the stage '{stage}' first")
    module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["model"])


# ---- stage 1 --------------------------------------------------------------------------------------------------------------------

def frame_batch(options, step):
    rgb, labels = [], []
    rng = np.random.default_rng([options.seed, 1, step])
    for k in range(options.batch // 2):
        video = world.Video(seed=training_seed(options.seed, step, k), n_frames=int(rng.choice(world.DURATIONS)))
        frames, marks = video.frames(rng.integers(0, video.n_frames, 2))
        rgb.append(frames)
        labels.append(marks)
    return torch.from_numpy(np.concatenate(rgb)), torch.from_numpy(np.concatenate(labels))


def train_tower(options, device):
    model = models.Model(models.SHAPES[options.shape], words.VOCABULARY).to(device)
    heads = tower.Heads(model.shape.vision_width).to(device)
    run = Run(options, "tower", {"model": model, "heads": heads}, [(model.tower, options.rate or 1e-3), (heads, 2e-3)])
    generator = torch.Generator(device).manual_seed(options.seed)
    for rgb, labels in ahead(lambda step: frame_batch(options, step), run.step, options.workers, 2 * options.workers):
        if not run.going():
            break
        rgb, labels = tower.as_coded(rgb.to(device), generator), labels.to(device)
        features = model.tower(rgb)
        loss, parts = tower.tower_loss(features, heads, rgb, labels)
        run.improve(loss)
        facts = tower.tower_facts(features.detach(), heads, labels) if run.step % 5 == 0 else {}
        run.note(parts | facts, options.log_every)
    run.save()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stage", choices=["tower"])
    parser.add_argument("--out", required=True, help="folder of the run: checkpoints, log.jsonl")
    parser.add_argument("--shape", default="C", choices=sorted(models.SHAPES))
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=32, help="frames, or videos")
    parser.add_argument("--rate", type=float, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="threads that render")
    parser.add_argument("--minutes", type=float, help="stop after so long, and save")
    parser.add_argument("--save-every", type=float, default=120, help="seconds")
    parser.add_argument("--log-every", type=int, default=50, help="steps")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    {"tower": train_tower}[options.stage](options, device)


if __name__ == "__main__":
    main()
