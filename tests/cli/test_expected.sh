# The smoke tier through the whole program, from renderer to reply, against what is stored in tests/fixtures/tinyworld: statuses, replies and token
# counts exactly, margins within 1e-4. With KEEP=FILE it writes what it found there instead.
. "$(dirname "$0")/lib.sh"

expected=$source/tests/fixtures/tinyworld
"$toksweep" list devices | grep 'isa avx2' | grep -q 'not on this processor' && { echo 'skipped: no AVX2 here'; exit 0; }

assert_status 0 world smoke --cache cache
videos=cache/tinyworld-v1/videos
if ! cmp -s <(head -n 1 "$videos/SHA256SUMS") <(head -n 1 "$expected/SHA256SUMS"); then
    echo "skipped: $(head -n 1 "$videos/SHA256SUMS"), the expected result is $(head -n 1 "$expected/SHA256SUMS")"
    exit 0
fi
sort "$expected/SHA256SUMS" >expected.sums
sort "$videos/SHA256SUMS" >found.sums
assert_same_file 'digests of the encoded videos' expected.sums found.sums

# One sweep for each model that ships, but for the one that was trained with DynTok, whose shape is the baseline's.
cat >baseline.yaml <<END
model: $source/models/tinyworld-baseline
assistant: $source/models/tinyworld-assistant
runner: { name: native, device: cpu, dtype: f32, isa: avx2 }
axes:
  benchmark: tinyworld_smoke
  frames: 4
  compressor: [none, { name: dyntok, threshold: 0.6 }, { name: pool, stride: 2 }, [{ name: dytok, keep: 0.25 }, { name: visionzip }]]
END
cat >vq.yaml <<END
model: $source/models/tinyworld-vq
runner: { name: native, device: cpu, dtype: f32, isa: avx2 }
axes: { benchmark: tinyworld_smoke, frames: 4, compressor: [{ name: vqtoken, k: 16, form: fused }] }
END
for sweep in baseline vq; do
    assert_status 0 run $sweep.yaml --cache cache --store run.sqlite
done
sqlite3 -batch -noheader -separator '|' run.sqlite "SELECT label, sample.name, status, tokens_visual, tokens_marker, tokens_text,
    printf('%.6f', margin), replace(raw, char(10), ' ') FROM answer JOIN cell ON cell.id = cell_id JOIN sample ON sample.id = sample_id
    JOIN cost ON answer_id = answer.id ORDER BY label, manifest_row" >found
assert_equal 'answers' 800 "$(wc -l <found)"
if [ -n "${KEEP-}" ]; then
    cp found "$KEEP"
    exit 0
fi

# Everything but the margins, then the margins.
without_margin()
{
    awk -F'|' -v OFS='|' '{ $7 = ""; print }' "$1"
}

without_margin "$expected/smoke.txt" >expected.answers
without_margin found >found.answers
assert_same_file 'answers without margins' expected.answers found.answers
paste -d'|' <(cut -d'|' -f7 "$expected/smoke.txt") <(cut -d'|' -f7 found) | awk -F'|' '{
    off = $1 > $2 ? $1 - $2 : $2 - $1
    if (off > 1e-4 * ($1 > 1 ? $1 : 1)) { print "line " NR ": margin " $2 ", expected " $1; wrong++ } } END { exit wrong > 0 }' >margins ||
    fail "margins: $(head margins)"
