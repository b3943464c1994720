#!/usr/bin/env python3
"""Records tests/fixtures/lmms/aggregates.jsonl: what released lmms-evals make of a few hundred made-up replies per benchmark.

Usage: record_aggregates.py OUT_FOLDER PROFILE=RELEASE_FOLDER ...
"""
import argparse
import ast
import json
import pathlib
import random
import re
import tempfile

import replies
import rows
import upstream

# mlvu before 0.3.2 is another copy of the data set, with other names.
MLVU_SHORT = {"topic_reasoning": "TR", "anomaly_reco": "AR", "needle": "NQA", "ego": "ER", "plotQA": "PQA", "order": "AO", "count": "AC"}
SUB_CATEGORIES = {
    "Knowledge": ["Humanity & History", "Literature & Art", "Biology & Medicine", "Finance & Commerce", "Astronomy", "Geography", "Law",
                  "Life Tip", "Technology"],
    "Film & Television": ["Animation", "Movie & TV Show", "Documentary", "News Report"],
    "Sports Competition": ["Esports", "Basketball", "Football", "Athletics", "Other Sports"],
    "Artistic Performance": ["Stage Play", "Magic Show", "Variety Show", "Acrobatics"],
    "Life Record": ["Handicraft", "Food", "Fashion", "Daily Life", "Travel", "Pet & Animal", "Exercise"], "Multilingual": ["Multilingual"]}
TASK_TYPES = ["Temporal Perception", "Spatial Perception", "Attribute Perception", "Action Recognition", "Object Recognition",
              "OCR Problems",
              "Counting Problem", "Temporal Reasoning", "Spatial Reasoning", "Action Reasoning",
              "Object Reasoning"]  # and one without a row
KINDS = {"video Type": "duration", "Categories": "domain", "Video Sub Categories": "sub_category", "Task Categories": "task_type"}


def rows_of(task, rnd):
    """Made-up rows; groups of unequal size, some without a row."""
    def pick(pool):
        return pool[min(rnd.randrange(len(pool)), rnd.randrange(len(pool)))]
    if task == "videomme":
        for row in rows.video_mme(330):
            domain = pick(list(SUB_CATEGORIES))
            yield {**row, "domain": domain, "sub_category": pick(SUB_CATEGORIES[domain]), "task_type": pick(TASK_TYPES), "question": "?",
                   "duration": pick(["long", "short", "medium"])}
    elif task.startswith("mlvu"):
        types, n = (rows.MLVU_DEV, 4) if task == "mlvu_dev" else (rows.MLVU_TEST[:-1], 6)
        for row in rows.mlvu(300, types, n, "v"):
            yield {**row, "task_type": pick(types), "question": "?\n", "candidates": list("uvwxyz")[:n]}
    elif task == "longvideobench_val_v":
        categories = ["S2E", "S2O", "S2A", "E2O", "O2E", "T2E", "T2O", "T2A", "E3E", "O3O", "SSS", "SOS", "SAA", "T3E", "T3O", "TOS", "TAA"]
        for row in rows.long_video_bench(310):
            yield {**row, "duration_group": pick([3600, 600, 15, 60]), "question_category": pick(categories), "question": "?"}
    elif task.startswith("mvbench"):
        n = 2 + rnd.randrange(4)
        for i in range(12 + rnd.randrange(9)):
            yield {"video": "%d.mp4" % i, "question": "?", "candidates": list("uvwxyz")[:n], "answer": "uvwxyz"[rnd.randrange(n)]}
    elif task == "nextqa_mc_test":
        yield from ({**row, "question": "?"} for row in rows.nextqa(290))
    else:
        yield from ({**row, "question": "?"} for row in rows.perception_test(290))


def gold(row):
    """Letter of the right option."""
    if "correct_choice" in row:
        return chr(65 + row["correct_choice"])
    if "answer_id" in row:
        return chr(65 + int(row["answer_id"]))
    if isinstance(row["answer"], int):
        return chr(65 + row["answer"])
    return row["answer"] if "video_name" in row or "videoID" in row else chr(65 + row["candidates"].index(row["answer"]))


def reply_to(row, made):
    chance, letter = made.rnd.random(), gold(row) if made.rnd.random() < 0.7 else made.pick("ABCDE")
    if chance < 0.3:
        return letter
    if chance < 0.55:
        return made.pick(["%s.", "%s)", "(%s)", "%s. text", "%s) text", "The answer is %s.", "**%s**", "Answer: %s",
                          "<think>A or B</think>%s", "<think>\nnot\n</think>\n\n(%s)"]) % letter
    if chance < 0.62:
        return made.pick(["", " ", "\n", "\u3000", "<think></think>", "Video /data/x.mp4 can not load, check the source", "<think>C"])
    return made.reply(["clap proudly", "the lady sitting down", "lay on floor"])


def tasks():
    yield from ["videomme", "mlvu_dev", "mlvu_test", "longvideobench_val_v", "nextqa_mc_test", "perceptiontest_val_mc"]
    yield from ("mvbench_" + task for task in rows.MVBENCH)


def made_up():
    """{task: [{"row", "response"}, ...]}"""
    made = {}
    for i, task in enumerate(tasks()):
        rnd, words = random.Random(i), replies.Replies(100 + i)
        made[task] = [{"row": row, "response": reply_to(row, words)} for row in rows_of(task, rnd)]
    return made


def ask(profile, root, home, made):
    """Runs in a process of its own: {task: result} of one release."""
    release, draws = upstream.Upstream(root, home), upstream.count_draws()
    answers = {}
    for task, listed in made.items():
        name = "mlvu" if task == "mlvu_dev" and not release.has(task) else task
        if not release.has(name):
            continue
        asked = [{**one["row"], "task_type": MLVU_SHORT[one["row"]["task_type"]]} if name == "mlvu" else one["row"] for one in listed]
        stops = (profile, task) == ("lmms-0.3.4", "mlvu_test")  # as it was released
        changes = {"lmms_eval_specific_kwargs": {"default": {}}} if stops else {}
        answers[task] = result(release.evaluate, name, asked, [one["response"] for one in listed], home, draws, changes)
    return answers


def result(evaluate, name, asked, said, home, draws, changes):
    drawn, before = [], [draws()]

    def after_row(_doc):
        drawn.append(draws() > before[0])
        before[0] = draws()
    random.seed(0)
    with upstream.after_each_row(after_row):
        found, log = evaluate(name, asked, said, home, **changes)
    (numbers,) = [fields for task, fields in found["results"].items() if task == name]
    fields = {key: plain(value) for key, value in numbers.items() if key != "alias" and not isinstance(value, list)}
    metric = next(key for key in fields if "_stderr" not in key).removesuffix(",none")
    scores = [sample[metric] for sample in found["samples"][name]]
    return {"metric": metric, "value": fields[metric + ",none"], "fields": fields, "correct": [correct(score) for score in scores],
            **letters(scores), "fallbacks": [i for i, was in enumerate(drawn) if was], **groups(log)}


def plain(value):
    return value if isinstance(value, (str, int, float)) and type(value).__module__ == "builtins" else float(value)


def correct(score):
    if isinstance(score, bool):
        return int(score)
    if "gt_answer" in score:
        return score["score"] if score["pred_answer"] != "" else None
    if "correct" in score:
        return score["correct"]
    return int(score.get("pred_answer", score.get("parsed_pred")) == score["answer"])


def letters(scores):
    """What was found in each reply, where the release says so."""
    if isinstance(scores[0], bool) or "gt_answer" in scores[0]:
        return {}
    if "pred_id" in scores[0]:
        return {"extracted": ["ABCD"[score["pred_id"]] if score["pred_id"] >= 0 else "" for score in scores]}
    return {"extracted": [score.get("pred_answer", score.get("parsed_pred")) for score in scores]}


def groups(log):
    """What the aggregation logs: {"groups": {column: {value: printed}}, "overall": printed}."""
    found, long_names = {}, {short: name for name, short in MLVU_SHORT.items()}
    overall = {}
    for line in log:
        group = re.fullmatch(r"Evaluation on (.+?): (.+?): +([\d.]+)%", line)
        whole = re.fullmatch(r"(?:Overall|Average) Performance.*: +([\d.]+)%", line)
        if group:
            found.setdefault(KINDS[group[1]], {})[long_names.get(group[2], group[2])] = group[3]
        elif whole:
            overall = {"overall": whole[1]}
        elif line.startswith("{") and "'Overall'" in line:
            printed = ast.literal_eval(line)
            overall = {"overall": printed.pop("Overall")}
            for key, value in printed.items():
                found.setdefault("question_category" if isinstance(key, str) else "duration_group", {})[str(key)] = value
    return {"groups": {column: dict(sorted(values.items())) for column, values in found.items()}, **overall}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("releases", nargs="+")
    arguments = parser.parse_args()
    made, answers = made_up(), {}
    for profile, root in upstream.releases(arguments.releases):
        with tempfile.TemporaryDirectory(prefix="lmms-home") as home:
            answers[profile] = upstream.in_own_process(ask, profile, root, home, made)
    with open(arguments.out / "aggregates.jsonl", "w", encoding="utf-8") as file:
        for task, listed in made.items():
            results = {profile: by_task[task] for profile, by_task in answers.items() if task in by_task}
            file.write(json.dumps({"task": task, "rows": listed, "results": results}, ensure_ascii=False) + "\n")
    upstream.write_versions(arguments.out)


if __name__ == "__main__":
    main()
