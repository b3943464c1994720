#!/usr/bin/env python3
"""Records tests/fixtures/lmms/{prompts.jsonl,manifests,subtitles}: what released lmms-evals ask of made-up and a few published rows.

Usage: record_prompts.py OUT_FOLDER --mvbench FOLDER --nextqa TEST_CSV PROFILE=RELEASE_FOLDER ...
"""
import argparse
import json
import pathlib
import shutil
import tempfile

import pyarrow as pa
import pyarrow.parquet as pq

import rows
import subtitles
import upstream

MODELS = ["llava_onevision", "llava_vid"]


def case(row, in_manifest=True, **more):
    return {"row": row, "in_manifest": in_manifest, **more}


def subtitled_videomme(out):
    found = list(subtitles.srt_cases())
    for i, (what, content, video) in enumerate(found):
        row = next(rows.video_mme(1, i))
        row["videoID"] = "srt-" + what
        place = {}
        if content is not None:
            place = {"subtitles": "videomme/%s.srt" % row["videoID"]}
            (out / "subtitles" / place["subtitles"]).write_bytes(content)
        yield case(row, video={"fps": video[0], "frames": video[1]} if video else None, **place)


def subtitled_long_video_bench(out):
    found = list(subtitles.json_cases())
    for row, (name, _duration, _start, content) in zip(rows.long_video_bench(len(found), found), found):
        place = {}
        if content is not None:
            place = {"subtitles": "longvideobench/%s_en.json" % name}
            (out / "subtitles" / place["subtitles"]).write_text(content, encoding="utf-8")
        yield case(row, **place)


def mvbench_cases(task, published):
    for row in published:
        if "subtitle" in row:
            row["subtitle"] = "made up: never read"
        yield case(row)
    yield from map(case, rows.mvbench(task, 4, published[0], 3 * rows.MVBENCH.index(task)))


def all_cases(out, published):
    """{task: [case, ...]} in the order of the fixture."""
    cases = {
        "videomme": list(map(case, rows.video_mme(20))) + [case(row, False) for row in rows.odd_video_mme()],
        "videomme_w_subtitle": list(subtitled_videomme(out)),
        "mlvu_dev": list(map(case, rows.mlvu(18, rows.MLVU_DEV, 4, "needle"))),
        "mlvu_test": list(map(case, rows.mlvu(18, rows.MLVU_TEST, 6, "test_needle"))),
        "longvideobench_val_v": list(map(case, rows.long_video_bench(18))) + [case(row, False) for row in rows.odd_long_video_bench()],
        "longvideobench_val_i": list(subtitled_long_video_bench(out)),
        "nextqa_mc_test": [case(row) for row in published["nextqa_mc_test"]] + list(map(case, rows.nextqa(18))),
        "perceptiontest_val_mc": list(map(case, rows.perception_test(18))) + [case(row, False) for row in rows.odd_perception_test()],
    }
    for task in rows.MVBENCH:
        cases["mvbench_" + task] = list(mvbench_cases(task, published["mvbench_" + task]))
    return cases


def home_of(out, folder):
    """HF_HOME as the releases expect it, with the subtitle files in their places."""
    shutil.copytree(out / "subtitles" / "videomme", folder / "videomme" / "subtitle")
    for place in ("longvideobench", "datasets/longvideobench"):
        shutil.copytree(out / "subtitles" / "longvideobench", folder / place / "subtitles")


def ask(root, home, cases):
    """Runs in a process of its own: {task: {model: [prompt or [error], ...]}} of one release."""
    release = upstream.Upstream(root, home)
    answers = {}
    for name, listed in cases.items():
        task_name = "mlvu" if name == "mlvu_dev" and not release.has(name) else name
        if not release.has(task_name):
            continue
        upstream.Video.known = {one["row"]["videoID"]: (one["video"]["fps"], one["video"]["frames"]) for one in listed if one.get("video")}
        answers[name] = {model: prompts(release, task_name, model, [one["row"] for one in listed]) for model in MODELS}
    return answers


def prompts(release, name, model, listed):
    try:
        task = release.task(name, model, listed)
    except Exception as error:  # the release asks itself the first question when it loads a task
        return [[described(error)]] * len(listed)
    return [prompt(task, doc) for doc in task.eval_docs]


def prompt(task, doc):
    try:
        return task.doc_to_text(doc)
    except Exception as error:
        return [described(error)]


def described(error):
    return "%s: %s" % (type(error).__name__, upstream.without_paths(str(error)))


def lines(cases, answers):
    for task, listed in cases.items():
        for i, one in enumerate(listed):
            told, errors = {}, {}
            for profile, by_task in answers.items():
                for model, found in by_task.get(task, {}).items():
                    failed = isinstance(found[i], list)
                    told.setdefault(profile, {})[model] = None if failed else found[i]
                    if failed:
                        errors.setdefault(profile, {})[model] = found[i][0]
            yield {"task": task, **one, "prompts": told, **({"errors": errors} if errors else {})}


def write_manifests(out, cases):
    for task, listed in cases.items():
        kept = [one["row"] for one in listed if one["in_manifest"]]
        if task.startswith("mvbench_"):
            (out / "manifests" / "mvbench").mkdir(exist_ok=True)
            path = out / "manifests" / "mvbench" / (task.removeprefix("mvbench_") + ".json")
            path.write_text(json.dumps(kept, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        else:
            pq.write_table(pa.Table.from_pylist(kept), out / "manifests" / (task + ".parquet"), compression="snappy", store_schema=False,
                           write_statistics=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--mvbench", required=True)
    parser.add_argument("--nextqa", required=True)
    parser.add_argument("releases", nargs="+")
    arguments = parser.parse_args()
    for folder in ("manifests", "subtitles/videomme", "subtitles/longvideobench"):
        (arguments.out / folder).mkdir(parents=True, exist_ok=True)
    cases = all_cases(arguments.out, rows.published(arguments.mvbench, arguments.nextqa, 2))
    with tempfile.TemporaryDirectory(prefix="lmms-home") as home:
        home_of(arguments.out, pathlib.Path(home))
        answers = {profile: upstream.in_own_process(ask, root, home, cases) for profile, root in upstream.releases(arguments.releases)}
    with open(arguments.out / "prompts.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines(cases, answers))
    write_manifests(arguments.out, cases)
    upstream.write_versions(arguments.out)


if __name__ == "__main__":
    main()
