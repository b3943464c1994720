"""Made-up rows in the column layouts of the six benchmarks, with texts that are hard to copy exactly. Answers are within the options."""
import json

QUESTIONS = [
    "What stands on the pier?",
    "How many boats leave?\n(a) before noon\n(b) after noon",
    "",
    "  Why is the pan covered? ",
    "\nWhat does the sign say?\n\n",
    "Who says \"it's over\", and to whom?",
    "何时加盐？（A）还是（B）",
    "\u00a0Is the Café\u2019s door — the “blue” one — open?\u3000",
    "Which is it: A, B, C or D? The answer is (C).",
    "tab\there, back\\slash, percent %s %d {question} ${x} `code` <image> <|im_end|>",
    "e\u0301 differs from \u00e9; \u0130stanbul; 👩\u200d🚀 lifts off; \u202eright to left\u202c",
    "Best option: (",
    "carriage\r\nreturn\rs",
    "N/A",
    "\ufeffbyte order mark and \u0001\u001f\u007f\u0085 controls\u2028here\u2029",
    "A",
    "What does the person do first? " + "Look again. " * 40,
]

OPTIONS = [  # five texts each; a benchmark takes as many as it has
    ["A crane.", "A tent.", "A bus.", "Nothing.", "A boat."],
    ["1 and 2.", "2 and 1.", "None.", "3.", "4."],
    ["Café", "\"Open\"", "营业", "It isn't shown.", "Both 'this' and \"that\"."],
    ["A", "B", "C", "D", "E"],
    [" leading", "trailing ", " both ", "two  blanks", "\u00a0no-break\u00a0"],
    ["line\nbreak", "line break at the end\n", "tab\tin", "\\n is no break", "cr\r\nlf"],
    ["B. A man (in red)", "A) first", "(C)", "D: Option A", "A."],
    ["soft\u00adhyphen", "zero\u200bwidth", "\ufeffmark", "private \ue000", "unassigned \u0378 \U0010ffff"],
    ["don't", "say \"hi\"", "'", "\"", "'\"'"],
    ["\u0001", "\u007f\u0080\u009f", "\u0085\u2028\u2029", "\u3000", "\U0001f600 \u0301"],
    ["same", "same", "other", "None of the above", "All of the above"],
    ["", " ", "\n", "-", "."],
    ["back\\slash", "\\'", "\\\"", "{}", "%s"],
    ["İstanbul", "STRASSE ß", "ﬁne ligature", "Ångström", "ǅ"],
    ["A very long text " + "that goes on and " * 12 + "ends.", "short", "x" * 200, "0", "-1.5"],
]


def text_at(i):
    return QUESTIONS[i % len(QUESTIONS)], OPTIONS[i % len(OPTIONS)]


def video_mme(n, first=0, stem="v%09d_"):
    domains = [("Knowledge", "Geography"), ("Film & Television", "Movie & TV Show"), ("Sports Competition", "Other Sports"),
               ("Artistic Performance", "Magic Show"), ("Life Record", "Pet & Animal"), ("Multilingual", "Multilingual")]
    types = ["Counting Problem", "OCR Problems", "Object Reasoning", "Information Synopsis"]
    for i in range(first, first + n):
        question, options = text_at(i)
        domain, sub_category = domains[i % 6]
        name = stem % i
        yield {"video_id": "%03d" % (i // 3 + 1), "duration": ("short", "medium", "long")[i % 3], "domain": domain,
               "sub_category": sub_category, "url": "https://www.youtube.com/watch?v=" + name, "videoID": name,
               "question_id": "%03d-%d" % (i // 3 + 1, i % 3 + 1), "task_type": types[i % 4], "question": question,
               "options": ["%c. %s" % (65 + k, text) for k, text in enumerate(options[:4])], "answer": "ABCD"[i % 4]}


def odd_video_mme():
    """What the published layout does not have: one option, five of them, no letters before them, no options."""
    for i, options in enumerate([["A. only one"], ["A. a", "B. b", "C. c", "D. d", "E. e"], ["no letter", "none", "here", "either"], []]):
        row = next(video_mme(1, 100 + i))
        yield {**row, "options": options, "answer": "A"}


def mlvu(n, types, n_options, name):
    for i in range(n):
        question, options = text_at(i)
        options = (options + ["a sixth"])[:n_options]
        yield {"video_name": "%s_%d.mp4" % (name, i), "duration": 467.98 + i, "candidates": options,
               "question": question + "\n" + "".join("(%c) %s\n" % (65 + k, text) for k, text in enumerate(options)),
               "answer": chr(65 + i % n_options), "task_type": types[i % len(types)], "question_id": "Q%d" % i}


MLVU_DEV = ["topic_reasoning", "anomaly_reco", "needle", "ego", "plotQA", "order", "count"]
MLVU_TEST = ["anomaly_reco", "topic_reasoning", "needleQA", "ego", "plotQA", "sportsQA", "order", "count", "tutorialQA"]

MVBENCH = ["action_sequence", "moving_count", "action_prediction", "episodic_reasoning", "action_antonym", "action_count",
           "scene_transition", "object_shuffle", "object_existence", "fine_grained_pose", "unexpected_action", "moving_direction",
           "state_change", "object_interaction", "character_order", "action_localization", "counterfactual_inference",
           "fine_grained_action", "moving_attribute", "egocentric_navigation"]
MVBENCH_OPTIONS = {"action_antonym": 3, "object_existence": 3, "object_shuffle": 3, "action_count": 3, "state_change": 3,
                   "character_order": 3, "episodic_reasoning": 5, "counterfactual_inference": 1}


def mvbench(task, n, like, first):
    """`n` made-up rows with the columns of `like`, a published row; three where a task has no other number of options."""
    for i in range(first, first + n):
        question, options = text_at(i)
        options = options[:MVBENCH_OPTIONS.get(task, 4)]
        options = [text if text not in options[:k] else "%s %d" % (text, k) for k, text in enumerate(options)]
        row = dict(like, video="made/up %d.mp4" % i, question=question, candidates=options, answer=options[i % len(options)])
        yield row


def long_video_bench(n, subtitles=()):
    for i in range(n):
        question, options = text_at(i)
        real = 5 - i % 3
        cells = options[:real] + ["N/A"] * (5 - real)
        name = subtitles[i][0] if subtitles else "lvb%08d" % i
        duration, start = subtitles[i][1:3] if subtitles else (190.16 + i, 0.0)
        yield {"video_id": name, "question": question if "\n" not in question else question.replace("\n", " "),
               "option0": cells[0], "option1": cells[1], "option2": cells[2], "option3": cells[3], "option4": cells[4],
               "correct_choice": i % real, "id": "%s_%d" % (name, i), "video_path": name + ".mp4", "subtitle_path": name + "_en.json",
               "duration": duration, "duration_group": (15, 60, 600, 3600)[i % 4],
               "question_category": ("TOS", "E2O", "SSS", "T2A")[i % 4], "topic_category": "KA-Knowledge-Art",
               "starting_timestamp_for_subtitles": start}


def odd_long_video_bench():
    """N/A before a real option: the prompt closes the gap, the score looks only at what is before it. No subtitles: an error."""
    row = next(long_video_bench(1))
    yield {**row, "option1": "N/A", "option4": "last", "id": "gap_0"}


def nextqa(n):
    for i in range(n):
        question, options = text_at(i)
        yield {"video": 2574374895 + i, "frame_count": 719, "width": 320, "height": 240, "question": question, "answer": i % 5, "qid": i,
               "type": ("TN", "CW", "DC", "TP", "CH", "TC", "DL", "DO")[i % 8], **{"a%d" % k: options[k] for k in range(5)}}


def perception_test(n):
    for i in range(n):
        question, options = text_at(i)
        yield {"video_name": "video_%d" % (i * 7), "question": question, "question_id": str(i), "options": options[:3],
               "answer_id": str(i % 3), "area": ("memory", "abstraction", "physics", "semantics")[i % 4],
               "reasoning": ("descriptive", "explanatory", "predictive", "counterfactual")[i % 4],
               "tag": [["motion"], ["event recall", "motion"], ["collision", "stability", "distractor action"]][i % 3]}


def odd_perception_test():
    """Two options, four (both beyond the second are called C), one."""
    row = next(perception_test(1))
    for k, options in enumerate([["yes", "no"], ["a", "b", "c", "d"], ["one"]]):
        yield {**row, "options": options, "question_id": str(100 + k)}


def published(mvbench_folder, nextqa_csv, per_task):
    """The first rows of the authors' files: {task: [rows]}, for MVBench and NExT-QA."""
    rows = {}
    for task in MVBENCH:
        with open("%s/%s.json" % (mvbench_folder, task), encoding="utf-8") as file:
            rows["mvbench_" + task] = json.load(file)[:per_task]
    with open(nextqa_csv, encoding="utf-8") as file:
        names, *lines = [line.rstrip("\n").split(",") for line, _ in zip(file, range(per_task + 1))]
    numbers = {"video", "frame_count", "width", "height", "answer", "qid"}
    rows["nextqa_mc_test"] = [{name: int(cell) if name in numbers else cell for name, cell in zip(names, line)} for line in lines]
    return rows
