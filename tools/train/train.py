"""Trains the tiny world's models. One command per stage; each resumes where it was killed, on a CPU or on a GPU.

    python train.py tower    --out run
    python train.py sketch   --out run
    python train.py align    --out run
    python train.py language --out run --methods none,dyntok
    python train.py finish   --out run --methods dyntok --name dyntok
    python train.py export   --out run --from dyntok --to checkpoint
"""

import argparse
import json
import math
import os
import pathlib
import time

import numpy as np
import torch

import language
import model as models
import tower
import words
import world

RANK = int(os.environ.get("RANK", 0))  # of this process, where torchrun has started several


# ---- what every stage needs -----------------------------------------------------------------------------------------------------

class Run:
    """A stage under way: its folder, its step, its clock, and what is saved of it.

    Two files: the weights in f32, and the optimiser's two moments in bf16, so that either stays small enough to be carried about.
    """

    def __init__(self, options, stage, modules, rates):
        self.folder, self.stage, self.modules = pathlib.Path(options.out), stage, modules
        self.folder.mkdir(parents=True, exist_ok=True)
        self.optimiser = torch.optim.AdamW([{"params": [p for p in module.parameters() if p.requires_grad], "lr": rate, "peak": rate}
                                            for module, rate in rates], betas=(0.9, 0.98), weight_decay=0.01)
        self.step, self.steps, self.warm = 0, options.steps, max(1, min(200, options.steps // 10))
        self.deadline = time.monotonic() + options.minutes * 60 if options.minutes else math.inf
        self.saved, self.every = time.monotonic(), options.save_every
        self.weights, self.moments = self.folder / f"{stage}.pt", self.folder / f"{stage}.moments.pt"
        self.noted = {}
        if self.weights.exists():
            self.load()

    def load(self):
        kept = torch.load(self.weights, map_location="cpu", weights_only=True)
        for name, module in self.modules.items():
            module.load_state_dict(kept[name])
        self.step = kept["step"]
        moments = torch.load(self.moments, map_location="cpu", weights_only=True)
        if moments["step"] == self.step:  # killed between the two files: the moments begin anew
            self.optimiser.load_state_dict(moments["optimiser"])

    def save(self):
        if RANK:
            return
        moments = self.optimiser.state_dict()
        moments["state"] = {i: {name: value.to(torch.bfloat16) if value.dim() else value for name, value in state.items()}
                            for i, state in moments["state"].items()}
        weights = {name: module.state_dict() for name, module in self.modules.items()}
        for path, kept in ((self.weights, weights), (self.moments, {"optimiser": moments})):
            torch.save(kept | {"step": self.step}, f"{path}.part")
            os.replace(f"{path}.part", path)
        self.saved = time.monotonic()

    def going(self):
        """Whether there is a step left, and time for it; of several processes, all of them stop where the first has to."""
        device = self.optimiser.param_groups[0]["params"][0].device
        left = torch.tensor(float(self.step < self.steps and time.monotonic() < self.deadline), device=device)
        if torch.distributed.is_initialized():
            torch.distributed.all_reduce(left, torch.distributed.ReduceOp.MIN)
        return bool(left)

    def improve(self, loss):
        share = min(1, (self.step + 1) / self.warm) * (0.05 + 0.95 * (0.5 + 0.5 * math.cos(math.pi * self.step / self.steps)))
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * share
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.share_gradients()
        for group in self.optimiser.param_groups:
            torch.nn.utils.clip_grad_norm_(group["params"], 1.0)
        self.optimiser.step()
        self.step += 1

    def share_gradients(self):
        """The mean over all processes, where there are several."""
        if not torch.distributed.is_initialized():
            return
        trained = [p for group in self.optimiser.param_groups for p in group["params"]]
        whole = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in trained])
        torch.distributed.all_reduce(whole)
        for p, mean in zip(trained, (whole / torch.distributed.get_world_size()).split([p.numel() for p in trained])):
            p.grad = mean.view_as(p)

    def note(self, facts, every):
        """Collects facts, and logs their means every so many steps."""
        for name, value in facts.items():
            self.noted.setdefault(name, []).append(torch.as_tensor(value).detach().float())
        if self.step % every == 0:
            self.log({name: torch.stack(values).nanmean() for name, values in self.noted.items()})
            self.noted = {}
        if time.monotonic() - self.saved > self.every:
            self.save()

    def log(self, facts):
        if RANK:
            return
        line = {"stage": self.stage, "step": self.step, "time": round(time.time())}
        line |= {name: round(float(value), 4) for name, value in facts.items()}
        with open(self.folder / "log.jsonl", "a") as log:
            log.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)


class Batches(torch.utils.data.Dataset):
    """What make(options, step) makes, for every step."""

    def __init__(self, make, options):
        self.make, self.options = make, options

    def __getitem__(self, step):
        return self.make(self.options, step)


def batches(make, options, first):
    """Batches from step `first` on, made ahead by processes of their own: the words of a batch take Python as long as its pixels take C."""
    world.library()  # compiled before there are several
    sampler = range(first, options.steps)
    return torch.utils.data.DataLoader(Batches(make, options), batch_size=None, sampler=sampler, num_workers=options.workers)


def training_seed(seed, step, k):
    """Seeds of training scenes: far from the benchmark's, which are hashes, and others in every process."""
    return (seed + 1000 * RANK << 48) + (step << 16) + k


def kept_by(options, stage, part="model"):
    path = pathlib.Path(options.out) / f"{stage}.pt"
    if not path.exists():
        raise SystemExit(f"no '{path}': train the stage '{stage}' first")
    return torch.load(path, map_location="cpu", weights_only=True)[part]


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
    for rgb, labels in batches(frame_batch, options, run.step):
        if not run.going():
            break
        rgb, labels = tower.as_coded(rgb.to(device), generator), labels.to(device)
        features = model.tower(rgb)
        loss, parts = tower.tower_loss(features, heads, rgb, labels)
        run.improve(loss)
        facts = tower.tower_facts(features.detach(), heads, labels) if run.step % 5 == 0 else {}
        run.note(parts | facts, options.log_every)
    run.save()


# ---- stages 2 and 3 -------------------------------------------------------------------------------------------------------------

def types_of(options):
    return [int(kind) for kind in options.types.split(",")]


def forms_of(text):
    shares = {name: float(share) for name, share in (part.split(":") for part in text.split(","))}
    return {name: share / sum(shares.values()) for name, share in shares.items()}


def question_batch(options, step):
    rng = np.random.default_rng([options.seed, 2, step])
    least, most = (int(n) for n in options.frames.split("-"))
    method = language.draw_method(options.methods.split(","), rng)
    n_frames = int(rng.integers(least, most + 1))
    videos = [world.Video(seed=training_seed(options.seed + 1, step, k), n_frames=int(rng.choice(world.DURATIONS)))
              for k in range(max(2, round(options.batch / language.cost_of(n_frames, method))))]
    return language.make_batch(videos, n_frames, rng, types_of(options), options.forms, options.brief), method


def seen_by(model, sketch, batch, method):
    """Visual rows of a batch: sketched in the stage of sketches, otherwise seen."""
    if sketch:
        threshold = 0.99 if isinstance(method, float) else method
        return language.compressed(model, sketch.alike(batch.labels), sketch(batch.labels), batch, threshold)
    features = model.tower(batch.rgb)
    return language.compressed(model, features, model.projector(features), batch, method)


@torch.no_grad()
def validate(model, sketch, options, device, n_frames):
    """Share of right letters by type, on videos of no tier and of no training batch, by the first of the methods."""
    right, asked = np.zeros(len(world.TYPES)), np.zeros(len(world.TYPES))
    rng = np.random.default_rng(0)
    for first in range(0, options.validation, 16):
        videos = [world.Video(seed=training_seed(60000, 0, k), n_frames=world.DURATIONS[k % 3])
                  for k in range(first, min(first + 16, options.validation))]
        batch = language.make_batch(videos, n_frames, rng, types_of(options), brief=options.brief).to(device)
        method = language.draw_method(options.methods.split(",")[:1], rng)
        *_, hidden = language.hidden_of(model, batch, *seen_by(model, sketch, batch, method))
        kinds, good = language.letters_right(model, hidden, batch)
        np.add.at(right, kinds.cpu().numpy(), good.cpu().numpy())
        np.add.at(asked, kinds.cpu().numpy(), 1)
    share = {name: right[kind] / asked[kind] for kind, name in enumerate(world.TYPES) if asked[kind]}
    return {f"validation at {n_frames}": right.sum() / asked.sum()} | share


def trained_parts(model, stage):
    """(module, peak rate) of what a stage trains. The tower is done."""
    rest = torch.nn.ModuleList(module for name, module in model.named_children() if name not in ("tower", "projector"))
    rest.newline = model.image_newline
    model.tower.requires_grad_(False)
    return [(rest, 2e-3)] if stage == "sketch" else [(rest, 1e-3), (model.projector, 1e-3)]


def train_answers(options, device):
    """Stages sketch, language and finish."""
    stage = options.stage
    model = models.Model(models.SHAPES[options.shape], words.VOCABULARY, "vq" in options.methods).to(device)
    judge = language.Judge(model.shape.width).to(device)
    before = options.start or {"language": "align", "finish": "language"}.get(stage)
    if before:
        model.begin_as(kept_by(options, before))
    if stage == "finish":
        judge.load_state_dict(kept_by(options, before, "judge"))
    sketch = language.Sketch(model.embed_tokens).to(device) if stage == "sketch" else None
    kept = {"model": model, "judge": judge} | ({"sketch": sketch} if sketch else {})
    parts = [*trained_parts(model, stage), (judge, 1e-3)] + ([(sketch, 2e-3)] if sketch else [])
    scale = options.rate / parts[0][1] if options.rate else 1
    run = Run(options, options.name or stage, kept, [(module, scale * peak) for module, peak in parts])
    generator = torch.Generator(device).manual_seed(options.seed)
    for batch, method in batches(question_batch, options, run.step):
        if not run.going():
            break
        batch = batch.to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            if not sketch:
                batch.rgb = tower.as_coded(batch.rgb, generator)
            rows, length = seen_by(model, sketch, batch, method)
            halfway, before_last, hidden = language.hidden_of(model, batch, rows, length)
            judging = language.judging_loss(judge, model.embed_tokens.weight, halfway, before_last, batch)
            answers = language.answer_loss(model, hidden, batch)
            loss = answers + 0.5 * judging
        run.improve(loss)
        facts = {"answers": answers, "judging": judging, "rows": length.float().mean()}
        if run.step % 5 == 0:
            kinds, good = language.letters_right(model, hidden, batch)
            facts["right"] = good.float().mean()
        run.note(facts, options.log_every)
        if run.step % options.validate_every == 0 and not RANK:
            run.log(validate(model, sketch, options, device, int(options.frames.split("-")[1])))
    run.save()


def train_align(options, device):
    """The projector says of a patch what its sketch says: the tower of one stage, the language model of another."""
    model = models.Model(models.SHAPES[options.shape], words.VOCABULARY).to(device)
    sketch = language.Sketch(model.embed_tokens).to(device)
    seen, said = kept_by(options, "tower"), kept_by(options, "sketch")
    model.load_state_dict({name: (seen if name.startswith("tower.") else said)[name] for name in said})
    sketch.load_state_dict(kept_by(options, "sketch", "sketch"))
    run = Run(options, "align", {"model": model}, [(model.projector, options.rate or 3e-3)])
    generator = torch.Generator(device).manual_seed(options.seed)
    for rgb, labels in batches(frame_batch, options, run.step):
        if not run.going():
            break
        rgb, labels = tower.as_coded(rgb.to(device), generator), labels.to(device)
        with torch.no_grad():
            features, wanted = model.tower(rgb), sketch(labels)
        there = (labels[..., 0] > 0).flatten(1)
        far = (model.projector(features) - wanted).square().mean(-1)
        run.improve(far.mean() + far[there].mean())
        run.note({"far": far.mean() / wanted.var(), "far where something is": far[there].mean() / wanted.var()}, options.log_every)
    run.save()


def export(options, _device):
    kept = kept_by(options, options.start or "finish")
    model = models.Model(models.SHAPES[options.shape], words.VOCABULARY, "vq" in options.methods)
    model.load_state_dict(kept)
    models.export(model, words.tokenizer(), options.to)


STAGES = {"tower": train_tower, "sketch": train_answers, "align": train_align, "language": train_answers, "finish": train_answers,
          "export": export}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--out", required=True, help="folder of the run: checkpoints, log.jsonl")
    parser.add_argument("--from", dest="start", help="stage whose weights are taken (language: align; finish: language; export: finish)")
    parser.add_argument("--name", help="under which what a stage makes is kept, where it is made several times; default: the stage's own")
    parser.add_argument("--to", help="export: the checkpoint folder")
    parser.add_argument("--shape", default="C", choices=sorted(models.SHAPES))
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=32, help="frames (tower, align); about so many frames' rows, with the questions'")
    parser.add_argument("--frames", default="4-8", help="least and most frames of a video")
    parser.add_argument("--methods", default="none", help="drawn for each batch: none, dyntok, pool, vq")
    parser.add_argument("--forms", type=forms_of, default="plain:0.2,choice:0.8", help="of questions: shares of terse, plain and choice")
    parser.add_argument("--types", default="0,1,2,3,4,5,6,7,8", help="of questions, for the beginning of training")
    parser.add_argument("--brief", action="store_true", help="leave out the words that every prompt has, for the beginning of training")
    parser.add_argument("--rate", type=float, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="processes that make batches")
    parser.add_argument("--minutes", type=float, help="stop after so long, and save")
    parser.add_argument("--save-every", type=float, default=120, help="seconds")
    parser.add_argument("--log-every", type=int, default=50, help="steps")
    parser.add_argument("--validate-every", type=int, default=1000, help="steps")
    parser.add_argument("--validation", type=int, default=64, help="videos")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    if "WORLD_SIZE" in os.environ:
        torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    STAGES[options.stage](options, device)


if __name__ == "__main__":
    main()
