#!/bin/bash
# What a sweep costs beside the work in it that nothing can spare: tests/bench/sweep.sh TOKSWEEP MODEL CLIPS [FRAMES]
#
# 3 frame counts x (none + 5 thresholds) x 3 questions a video, shared and with --no-share, one job of one thread. CLIPS is a folder of .mp4
# files, of which six are asked about. The least work is what the store has counted: each distinct frame read and encoded once, each distinct
# token stream and each question behind it prefilled once, at the time per frame and row that the engine needed in this run. Answers must be
# equal.
set -eu
toksweep=$(realpath "$1") model=$(realpath "$2") clips=$(realpath "$3") frames=${4:-4, 8, 16}
folder=$(mktemp -d "${TMPDIR:-/tmp}/toksweep-sweep.XXXXXX")
trap 'rm -rf "$folder"' EXIT
cd "$folder"

separator='['
for clip in $(find "$clips" -name '*.mp4' | sort | head -6); do
    for k in 1 2 3; do
        printf '%s{"videoID": "%s", "question_id": "%s-%d", "question": "What is in part %d?", "options": ["A. a", "B. b", "C. c", "D. d"], "answer": "A"}' \
            "$separator" "$(basename "$clip" .mp4)" "$(basename "$clip" .mp4)" $k $k
        separator=$',\n'
    done
done >manifest.json
echo ']' >>manifest.json
cat >sweep.yaml <<SWEEP
model: $model
runner: { name: native, dtype: bf16 }
axes:
  benchmark: { name: videomme, manifest: manifest.json, videos: $clips }
  frames: [$frames]
  compressor: [none, { name: dyntok, threshold: [0.4, 0.45, 0.5, 0.55, 0.6] }]
SWEEP

run() # STORE OPTION...: seconds by the clock, as the run says itself, and of processors
{
    local store=$1
    shift
    TIMEFORMAT='%U %S'
    { time "$toksweep" run sweep.yaml --store "$store" --jobs 1 --threads 1 "$@" 2>err >/dev/null; } 2>&1 | awk '{ print $1 + $2 }'
    sed -n 's/^computed .* in \([0-9.]*\) s.*/\1/p' err
}

read -r -d '' shared_processor shared <<<"$(run shared)" || true
read -r -d '' alone_processor alone <<<"$(run alone --no-share)" || true
least=$(sqlite3 shared "
    WITH
        per AS (SELECT sum(vision_paid_ms) / sum(frames_encoded) AS frame_ms, sum(prefill_paid_ms) / sum(tokens_prefilled) AS row_ms,
                total(open_paid_ms) + total(decode_paid_ms) + total(resize_paid_ms) + total(compress_paid_ms) + total(generate_paid_ms) AS other_ms FROM cost),
        shown AS (SELECT DISTINCT sample.video_id, tokens_digest, tokens_visual + tokens_marker AS n FROM answer JOIN cost ON answer_id = answer.id JOIN sample ON sample.id = sample_id),
        asked AS (SELECT DISTINCT sample_id, tokens_digest, tokens_text AS n FROM answer JOIN cost ON answer_id = answer.id)
    SELECT (frame_ms * (SELECT sum(frames_encoded) FROM video_frames) + row_ms * ((SELECT sum(n) FROM shown) + (SELECT sum(n) FROM asked)) + other_ms) / 1000 FROM per")
sums() { sqlite3 "$1" "SELECT cell_id, sample_id, status, raw, extracted, margin, tokens_digest FROM answer ORDER BY 1, 2" | sha256sum; }
[ "$(sums shared)" = "$(sums alone)" ] || { echo "the answers differ" >&2; exit 1; }
echo "$shared $least $shared_processor $alone_processor" |
    awk '{ printf "by the clock: %.1f s, least work %.1f s: %.2f times\nof processors: %.1f s, with --no-share %.1f s: %.1f times\n", $1, $2, $1 / $2, $3, $4, $4 / $3 }'
