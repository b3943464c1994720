#!/usr/bin/env python3
"""Records tests/fixtures/lmms/logs: what the command lines of released lmms-evals leave on disk after a run over a few made-up rows.

Usage: record_logs.py OUT_FOLDER PROFILE=RELEASE_FOLDER ...
"""
import argparse
import os
import pathlib
import re
import shutil
import tempfile
import time

import record_aggregates
import rows
import upstream

TASKS = {"lmms-0.2.3": "videomme,mlvu,mvbench_action_antonym,longvideobench_val_v,nextqa_mc_test,perceptiontest_val_mc",
         "lmms-0.3.0": "videomme,mlvu,mvbench_action_antonym,longvideobench_val_v,nextqa_mc_test,perceptiontest_val_mc",
         "lmms-0.3.4": "videomme,mlvu_dev,mvbench_action_antonym,longvideobench_val_v,nextqa_mc_test,perceptiontest_val_mc",
         "lmms-head": "videomme,mlvu_dev,mlvu_test,mvbench,longvideobench_val_v,longvideobench_test_v,nextqa_mc_test,perceptiontest_val_mc"}
REPLIES = ["A", "B. Candles.", "<think>A or\nB</think>C", "", "The best answer is: D", "(B) “quoted” \"text\" \\ and a tab\t."]


def rows_of(task):
    if task.startswith("mvbench_"):
        name = task.removeprefix("mvbench_")
        return list(rows.mvbench(name, 6 if name == "action_antonym" else 2, {}, rows.MVBENCH.index(name)))
    return list({"videomme": lambda: rows.video_mme(6), "mlvu": lambda: rows.mlvu(6, ["TR", "AR", "NQA"], 4, "v"),
                 "mlvu_dev": lambda: rows.mlvu(6, rows.MLVU_DEV, 4, "v"), "mlvu_test": lambda: rows.mlvu(6, rows.MLVU_TEST, 6, "v"),
                 "longvideobench_val_v": lambda: rows.long_video_bench(6),
                 "longvideobench_test_v": lambda: ({**row, "correct_choice": -1} for row in rows.long_video_bench(6)),
                 "nextqa_mc_test": lambda: rows.nextqa(6), "perceptiontest_val_mc": lambda: rows.perception_test(6)}[task]())


def reply_to(row, i):
    """Every third one is right."""
    return record_aggregates.gold(row) if i % 3 == 2 and row.get("correct_choice") != -1 else REPLIES[i % len(REPLIES)]


def ask(profile, root, home):
    """Runs in a process of its own: leaves the files of one release in home/logs."""
    os.chdir(home)  # where no repository is: it would note its revision
    time.perf_counter = lambda: 0.0  # it notes how long it took
    release = upstream.Upstream(root, home)
    names = [name for task in TASKS[profile].split(",") for name in
             (["mvbench_" + each for each in rows.MVBENCH] if task == "mvbench" else [task])]
    made = {name: rows_of(name) for name in names}
    said = {name: [reply_to(row, i + k) for k, row in enumerate(made[name])] for i, name in enumerate(names)}
    release.run(["--model", "llava_vid",
                 "--model_args", "pretrained=lmms-lab/LLaVA-Video-7B-Qwen2,conv_template=qwen_1_5,max_frames_num=64",
                 "--tasks", TASKS[profile], "--batch_size", "1", "--log_samples", "--log_samples_suffix", "small",
                 "--output_path", "./logs"], made, said)


def settle(path, home):
    """Takes out of a written file what differs from run to run: addresses of functions, and folders of this machine."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r" at 0x[0-9a-f]+", " at 0x7f0000000000", text).replace(str(home), "/home")
    path.write_text(text, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("releases", nargs="+")
    arguments = parser.parse_args()
    for profile, root in upstream.releases(arguments.releases):
        out = arguments.out / "logs" / profile
        shutil.rmtree(out, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix="lmms-home") as home:
            upstream.in_own_process(ask, profile, os.path.abspath(root), home)
            shutil.copytree(pathlib.Path(home) / "logs", out)
        for path in out.rglob("*.json*"):
            settle(path, home)
    upstream.write_versions(arguments.out)


if __name__ == "__main__":
    main()
