#!/usr/bin/env python3
"""Records tests/fixtures/lmms/{extraction_*,reasoning}.jsonl.gz: the letters that released lmms-evals find in made-up replies.

Usage: record_extraction.py OUT_FOLDER PROFILE=RELEASE_FOLDER ...
"""
import argparse
import gzip
import io
import json
import pathlib
import random
import tempfile

import replies
import rows
import upstream

LINES = 10500
ALL = ("lmms-0.3.4", "lmms-0.2.3", "lmms-0.3.0", "lmms-head")

# name -> (seed, does a reply depend on the options, [(release, task), ...]): the first is recorded, the others must agree with it.
ASKED = {
    "mcq": (1, False, [("lmms-head", "mlvu_dev"), ("lmms-head", "mlvu_test"), ("lmms-head", "videomme")]),
    "legacy": (2, False, [("lmms-0.3.4", "videomme"), ("lmms-0.3.0", "videomme"), ("lmms-0.2.3", "videomme"), ("lmms-0.3.0", "mlvu")]),
    "parenthesis": (3, False, [("lmms-0.3.4", "mlvu_dev"), ("lmms-0.2.3", "mlvu")]),
    "longvideobench_mmmu": (4, True, [("lmms-0.2.3", "longvideobench_val_v")]),
    "longvideobench": (5, True, [(release, "longvideobench_val_v") for release in ("lmms-0.3.4", "lmms-0.3.0", "lmms-head")]),
    "nextqa": (6, True, [(release, "nextqa_mc_test") for release in ALL]),
    "mvbench": (7, False, [(release, "mvbench_action_antonym") for release in ALL]),
    "perceptiontest": (8, False, [(release, "perceptiontest_val_mc") for release in ALL]),
}


def cases(name):
    """(response, options) of every line; LongVideoBench's rows have three to five options."""
    seed, with_options, _asked = ASKED[name]
    listed = replies.cases(seed, LINES, with_options)
    if name.startswith("longvideobench"):
        listed = ((response, ["-" if text == "N/A" else text for text in options[:3 + i % 3]])
                  for i, (response, options) in enumerate(listed))
    return list(listed)


def row_for(task, options):
    """A row of the task with these options."""
    if task.startswith("longvideobench"):
        cells = options + ["N/A"] * (5 - len(options))
        return {**next(rows.long_video_bench(1)), **{"option%d" % k: cells[k] for k in range(5)}}
    if task == "nextqa_mc_test":
        return {**next(rows.nextqa(1)), **{"a%d" % k: options[k] for k in range(5)}}
    return {"videomme": lambda: next(rows.video_mme(1)), "perceptiontest_val_mc": lambda: next(rows.perception_test(1)),
            "mvbench_action_antonym": lambda: {"video": "x.mp4", "question": "?", "candidates": list("ABCDE"), "answer": "A"},
            }.get(task, lambda: next(rows.mlvu(1, ["count"], 4, "x")))()


def found_in(task, row, response, parsed):
    """Upstream's own word for what is in the response."""
    name = task.config.task
    if name.startswith("mvbench"):  # it keeps the letter to itself, so every letter is tried as the right one
        right = [letter for letter in "ABCDE" if task.process_results({**row, "answer": letter}, [response])["mvbench_accuracy"]["score"]]
        return right[0] if right else ""
    scores = task.process_results(row, [response])
    if name.startswith("nextqa"):
        return parsed.pop()
    if name.startswith("longvideobench"):
        return scores["lvb_acc"]["parsed_pred"]
    if name.startswith("perceptiontest"):
        return "ABCD"[scores["accuracy"]["pred_id"]] if scores["accuracy"]["pred_id"] >= 0 else ""
    (score,) = scores.values()
    return score["pred_answer"]


def extracted(release, name, task_name):
    """[(what was found, was it drawn), ...]"""
    listed = cases(name)
    task = release.task(task_name, "llava_vid", [row_for(task_name, listed[0][1])])
    parsed, draws, out = upstream.keep_returns(task, "parse_multi_choice_response"), upstream.count_draws(), []
    random.seed(0)
    for response, options in listed:
        before = draws()
        found = found_in(task, row_for(task_name, options), response, parsed)
        out.append((found, draws() > before))
    return out


def letters_of(extract):
    """Head's shared extractor with other sets of letters."""
    for i, (response, _options) in enumerate(replies.cases(9, LINES)):
        letters = "ABCDEFGH"[:2 + i % 7]
        yield {"response": response, "letters": letters, "extracted": extract(response.strip(), choices=list(letters))}


def reasoning_of():
    import sys
    from lmms_eval.__main__ import parse_eval_args
    from lmms_eval.api.reasoning import parse_reasoning_tags_config, strip_reasoning_tags
    sys.argv = ["lmms-eval"]
    tags = parse_reasoning_tags_config(cli_value=parse_eval_args()[1].reasoning_tags)
    made = replies.Replies(10)
    for i in range(LINES):
        parts = [made.pick(replies.THOUGHTS) if made.rnd.random() < 0.6 else made.core(["clap", "crawl"])
                 for _ in range(made.rnd.randrange(1, 6))]
        response = made.pick(["", " ", "\n"]).join(parts) if i % 500 else made.long(["clap"]) + "".join(parts)
        yield {"response": response, "stripped": strip_reasoning_tags(response, tags)}


def ask(profile, root, home):
    """Runs in a process of its own: {(name, task): [(found, drawn), ...]}, and for head the two sets that only it has."""
    release = upstream.Upstream(root, home)
    answers = {(name, task): extracted(release, name, task) for name, (_, _, asked) in ASKED.items() for by, task in asked if by == profile}
    if profile != "lmms-head":
        return answers, {}
    from lmms_eval.tasks._task_utils.mcq_extract import extract_mcq_answer
    return answers, {"extraction_mcq_letters": list(letters_of(extract_mcq_answer)), "reasoning": list(reasoning_of())}


def write(out, name, lines):
    """Without a time or a name in the gzip header, so that the same lines are the same bytes."""
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    packed = io.BytesIO()
    with gzip.GzipFile("", "wb", 9, packed, 0) as file:
        file.write(text.encode())
    (out / (name + ".jsonl.gz")).write_bytes(packed.getvalue())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("releases", nargs="+")
    arguments = parser.parse_args()
    told, sets = {}, {}
    for profile, root in upstream.releases(arguments.releases):
        with tempfile.TemporaryDirectory(prefix="lmms-home") as home:
            answers, more = upstream.in_own_process(ask, profile, root, home)
        told.update({(name, profile, task): found for (name, task), found in answers.items()})
        sets.update(more)
    for name, (_seed, with_options, asked) in ASKED.items():
        first, *others = [told[(name, profile, task)] for profile, task in asked]
        for (profile, task), other in zip(asked[1:], others):
            if other != first:
                raise SystemExit("%s: %s of %s does not find what %s does" % (name, task, profile, asked[0]))
        sets["extraction_" + name] = [{"response": response, **({"options": options} if with_options else {}), "extracted": found,
                                       **({"fallback": True} if drawn else {})}
                                      for (response, options), (found, drawn) in zip(cases(name), first)]
    for name, lines in sets.items():
        write(arguments.out, name, lines)
    upstream.write_versions(arguments.out)


if __name__ == "__main__":
    main()
