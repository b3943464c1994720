#!/bin/bash
# A store of any size, to measure what depends on it: tests/bench/large_store.sh TOKSWEEP STORE [CELLS] [SAMPLES]
#
# CELLS x SAMPLES answers (1000 x 10000) with costs, three questions to a video, in the order in which sweeps come to them: video by
# video, cell by cell. Some 350 bytes an answer. The sums of what is written past the program are made when it opens the store, which the
# last line times.
set -eu
toksweep=$1 store=$2 cells=${3:-1000} samples=${4:-10000}
folder=$(mktemp -d "${TMPDIR:-/tmp}/toksweep-large.XXXXXX")
trap 'rm -rf "$folder"' EXIT

cat >"$folder/one.json" <<'MANIFEST'
[{"video_id": "001", "videoID": "v", "question_id": "1-1", "question": "What?", "options": ["A. a", "B. b", "C. c", "D. d"], "answer": "A",
  "task_type": "Action Recognition", "duration": "short", "domain": "Knowledge", "sub_category": "Biology"}]
MANIFEST
cat >"$folder/one.yaml" <<'SWEEP'
runner: mock
axes: { benchmark: { name: videomme, manifest: one.json }, frames: [1], compressor: [none] }
SWEEP
"$toksweep" run "$folder/one.yaml" --store "$store" >/dev/null 2>&1
rest=$(sqlite3 "$store" "SELECT group_concat(name, ', ') FROM pragma_table_info('cell') WHERE name NOT IN ('id', 'digest', 'frames')")
sqlite3 "$store" "
    PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000; PRAGMA journal_mode = WAL;
    CREATE TEMP TABLE k AS WITH RECURSIVE k(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM k WHERE i < max($cells, $samples)) SELECT i FROM k;
    INSERT INTO video SELECT i, benchmark_id, 'v' || i, path, missing, is_folder, folder_fps, start_s, end_s FROM k, video
    WHERE video.id = 1 AND i <= ($samples + 2) / 3;
    INSERT INTO sample SELECT i, benchmark_id, 'q' || i, i, 1 + (i - 1) / 3, question, i % 4, 'type ' || i % 12,
        CASE i / 3 % 3 WHEN 0 THEN 'short' WHEN 1 THEN 'medium' ELSE 'long' END, 'domain ' || i / 3 % 6, 'sub ' || i / 3 % 30
    FROM k, sample WHERE sample.id = 1 AND i <= $samples;
    INSERT INTO option SELECT i, position, text FROM k, option WHERE sample_id = 1 AND i <= $samples;
    INSERT INTO cell (id, digest, frames, $rest) SELECT i, printf('%064x', i), i, $rest FROM k, cell WHERE cell.id = 1 AND i <= $cells;
    DELETE FROM cost; DELETE FROM answer;
    INSERT INTO answer (id, cell_id, sample_id, run_id, status, raw, extracted, correct, margin, tokens_digest, answered_at)
    SELECT (video.id - 1) * 3 * $cells + (cell.id - 1) * 3 + (sample.id - 1) % 3 + 1, cell.id, sample.id, 1, 'ok',
        char(65 + (cell.id * 7 + sample.id * 13) % 4), (cell.id * 7 + sample.id * 13) % 4, (cell.id * 7 + sample.id * 13) % 4 = sample.answer,
        (cell.id * sample.id % 997) / 100.0, printf('%064x', video.id * 1000 + cell.id), '2026-01-01T00:00:00.000Z'
    FROM video CROSS JOIN cell CROSS JOIN sample ON sample.video_id = video.id;
    INSERT INTO cost (answer_id, frames, frames_encoded, tokens_before, tokens_marker_before, tokens_visual, tokens_marker, tokens_text,
        tokens_generated, tokens_prefilled, tokens_mean, tokens_cached, shared_layers, open_alone_ms, decode_alone_ms, resize_alone_ms,
        vision_alone_ms, compress_alone_ms, prefill_alone_ms, generate_alone_ms, open_paid_ms, decode_paid_ms, resize_paid_ms, vision_paid_ms,
        compress_paid_ms, prefill_paid_ms, generate_paid_ms, peak_bytes)
    SELECT id, 32, 32, 6720, 448, 3000 + id % 1000, 448, 100, 2, 3500, 3448 + id % 1000, 3448 + id % 1000, 24, 5.25, 310.5, 40.25, 23000.5,
        12.125, 4100.25, 80.5, 1.75, 103.5, 13.25, 7666.5, 4.125, 1366.75, 80.5, 1 << 30 FROM answer;"
echo "$(sqlite3 "$store" 'SELECT count(*) FROM answer') answers, $(stat -c %s "$store") bytes; the program opens it:" >&2
time "$toksweep" run "$folder/one.yaml" --store "$store" --limit 1 >/dev/null
