#!/usr/bin/env python3
"""Records tests/fixtures/lmms/served.json: lmms-eval's own model class for OpenAI's protocol asks `toksweep serve` about the demo's clips,
through its command line, and notes what it was told and how it scored that.

Usage: drive_serve.py OUT_FOLDER TOKSWEEP CLIPS RELEASE_FOLDER      CLIPS: a folder that render_clips has filled; the release is lmms-head
Needs, beside what the other scripts need, the packages openai, httpx and decord.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import upstream

ROOT = pathlib.Path(__file__).resolve().parents[3]
MODEL, FRAMES, EVERY = ROOT / "tests" / "fixtures" / "micro", 4, 3  # every third question


class Accelerator:
    """accelerate's, of one process, without torch."""
    num_processes, local_process_index, device = 1, 0, "cpu"

    def wait_for_everyone(self):
        pass


def ask(root, home, url, rows):
    """Runs in a process of its own: leaves the files of the release in home/logs."""
    os.mkdir(os.path.join(home, "run"))
    os.chdir(os.path.join(home, "run"))  # where no folder has a task's name
    os.environ["OPENAI_API_KEY"], os.environ["OPENAI_API_BASE"] = "none", url
    upstream.ABSENT -= {"openai", "httpx", "decord"}
    release = upstream.Upstream(root, home)
    import accelerate
    accelerate.Accelerator = Accelerator
    import lmms_eval.evaluator
    import lmms_eval.models
    from lmms_eval.models.simple.openai import OpenAICompatible
    lmms_eval.models.get_model = lmms_eval.evaluator.get_model = lambda *_name: OpenAICompatible
    release.rows = {"videomme": rows}
    import lmms_eval.utils
    lmms_eval.utils.get_datetime_str = lambda timezone=None: upstream.STAMP
    from lmms_eval.__main__ import cli_evaluate_single
    cli_evaluate_single(release._arguments([
        "--model", "openai", "--model_args", f"model_version=micro,max_frames_num={FRAMES},num_concurrent=4", "--tasks", "videomme",
        "--batch_size", "4", "--log_samples", "--log_samples_suffix", "served", "--output_path", "./logs"]))


def serve(toksweep):
    """The server and its address, on kernels that every machine has which runs the program."""
    process = subprocess.Popen([toksweep, "serve", str(MODEL), "--name", "micro", "--port", "0", "--dtype", "f32", "--isa", "avx2"],
                               stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("toksweep")
    parser.add_argument("clips", type=pathlib.Path)
    parser.add_argument("release")
    arguments = parser.parse_args()
    rows = json.loads((ROOT / "tests" / "fixtures" / "videomme" / "clips.json").read_text())[::EVERY]
    rows = [{**row, "domain": "Knowledge", "sub_category": "Geography", "task_type": "Counting Problem"} for row in rows]  # names it averages over
    process, url = serve(arguments.toksweep)
    try:
        with tempfile.TemporaryDirectory(prefix="lmms-home") as home:
            shutil.copytree(arguments.clips, pathlib.Path(home) / "videomme" / "data")
            upstream.in_own_process(ask, os.path.abspath(arguments.release), home, url, rows)
            samples = next(pathlib.Path(home).rglob("*_samples_videomme.jsonl")).read_text(encoding="utf-8")
    finally:
        process.terminate()
        process.wait()
    heard = [json.loads(line) for line in samples.splitlines()]
    heard = [{"question_id": rows[line["doc_id"]]["question_id"], "reply": line["filtered_resps"],
              "letter": line["videomme_perception_score"]["pred_answer"]} for line in sorted(heard, key=lambda line: line["doc_id"])]
    import decord
    import openai
    said = {"release": upstream.REVISIONS["lmms-head"], "openai": openai.__version__, "decord": decord.__version__, "frames": FRAMES, "samples": heard}
    (arguments.out / "served.json").write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
