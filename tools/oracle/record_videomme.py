#!/usr/bin/env python3
"""Makes tests/fixtures/videomme: one small manifest with made-up questions, in the four forms that Video-MME's comes in.

Usage: record_videomme.py OUT_FOLDER
Made with pyarrow 26.0.1. The Parquet file has the Hub's column names and types, snappy, dictionaries, and two row groups.
"""
import json
import pathlib
import sys

import pyarrow as pa
import pyarrow.parquet as pq

VIDEOS = [
    ("001", "short", "Knowledge", "Geography", "aaaaaaaaa_1"),
    ("002", "medium", "Life Record", "Food", "bbbbbbbbb-2"),
    ("003", "long", "Multilingual", "Multilingual", "ccccccccccc13"),
]
QUESTIONS = [
    ("Object Reasoning", "What stands on the pier?", ["A. A crane.", "B. A tent.", "C. A bus.", "D. Nothing."], "B"),
    ("Counting Problem", "How many boats leave?\n(a) before noon\n(b) after noon",
     ["A. 1 and 2.", "B. 2 and 1.", "C. None.", "D. 3."], "A"),
    ("OCR Problems", "What does the sign say?", ["A. Café.", "B. \"Open\".", "C. 营业.", "D. It isn't shown."], "D"),
    ("Action Reasoning", "Why is the pan covered?", ["A. Wind.", "B. Steam.", "C. Flies.", "D. Cats."], "C"),
    ("Temporal Perception", "When is salt added?", ["A. First.", "B. Second.", "C. Third.", "D. Last."], "A"),
]
PLACES = [0, 0, 1, 1, 2]


def rows():
    seen = {}
    for place, (task_type, question, options, answer) in zip(PLACES, QUESTIONS):
        video_id, duration, domain, sub_category, stem = VIDEOS[place]
        seen[video_id] = seen.get(video_id, 0) + 1
        yield {"video_id": video_id, "duration": duration, "domain": domain, "sub_category": sub_category,
               "url": f"https://www.youtube.com/watch?v={stem}", "videoID": stem, "question_id": f"{video_id}-{seen[video_id]}",
               "task_type": task_type, "question": question, "options": options, "answer": answer}


def nested(flat):
    videos = {}
    for row in flat:
        own = {key: row[key] for key in ("video_id", "duration", "domain", "sub_category")}
        video = videos.setdefault(row["video_id"], {**own, "questions": []})
        question = {key: row[key] for key in ("question_id", "task_type", "question", "options", "answer")}
        video["questions"].append({**question, "response": "A"})
    return list(videos.values())


def main():
    out = pathlib.Path(sys.argv[1])
    flat = list(rows())
    pq.write_table(pa.Table.from_pylist(flat), out / "test-00000-of-00001.parquet", row_group_size=3, compression="snappy",
                   store_schema=False, write_statistics=False)
    (out / "flat.json").write_text(json.dumps(flat, ensure_ascii=False, indent=1) + "\n")
    (out / "lines.jsonl").write_text("".join(json.dumps(row) + "\n\n" for row in flat))
    (out / "leaderboard.json").write_text(json.dumps(nested(flat), ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
