# What lmms-eval's own class for OpenAI's protocol was told by `toksweep serve`, and how it scored that (tools/oracle/lmms_eval/drive_serve.py),
# is what a run says of the same questions.
. "$(dirname "$0")/lib.sh"
served=$source/tests/fixtures/lmms/served.json

from_served() # EXPRESSION
{
    sqlite3 -batch -noheader :memory: "SELECT $1 FROM json_each(readfile('$served'), '\$.samples')" || fail "served.json: $1"
}

"$toksweep" list devices | grep -q '^ *isa avx2  *runs here' || { echo 'skip: no AVX2, on which the replies were recorded'; exit 0; }
cat >sweep.yaml <<END
model: $model
runner: {name: native, dtype: f32, isa: avx2}
profile: lmms-head
axes:
  benchmark: {name: videomme, manifest: $source/tests/fixtures/videomme/clips.json, videos: $clips}
  frames: $(sqlite3 :memory: "SELECT json_extract(readfile('$served'), '\$.frames')")
  compressor: none
END
samples=()
for id in $(from_served "json_extract(value, '\$.question_id')"); do
    samples+=(--samples "$id")
done
[ ${#samples[@]} -ge 24 ] || fail "only ${#samples[@]} words in the list of samples"
assert_status 0 run sweep.yaml --store results "${samples[@]}"
from_served "json_extract(value, '\$.question_id') || '|' || trim(json_extract(value, '\$.reply')) || '|' || json_extract(value, '\$.letter')" | sort >expected
query results "
    SELECT sample.name || '|' || raw || '|' || coalesce(char(65 + extracted), '') FROM answer JOIN sample ON sample.id = sample_id" | sort >found
assert_same_file 'replies and letters of both programs' expected found
