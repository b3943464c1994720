# What the tests of the command line share. Sourced first: takes the test's arguments (the program, the source tree, the folder of clips),
# moves into a folder of its own that goes away at the end, and gives the program no settings but those of the test.
set -u
export LC_ALL=C
toksweep=$1 source=$2 clips=${3:-}
model=$source/tests/fixtures/micro
folder=$(mktemp -d "${TMPDIR:-/tmp}/toksweep-cli.XXXXXX") || exit 1
trap 'kill -9 $(jobs -p) 2>/dev/null; rm -rf "$folder"' EXIT
cd "$folder" || exit 1
for variable in ${!TOKSWEEP_@} ${!HF_@}; do
    unset "$variable"
done
export HOME=$folder # no caches of this machine
unset XDG_CACHE_HOME
export OMP_WAIT_POLICY=passive # other tests run beside this one: threads that wait should not burn their processors

# ---- saying what is wrong ---------------------------------------------------------------------------------------------------

fail()
{
    printf '%s: line %s: %s\n' "${0##*/}" "${BASH_LINENO[-2]}" "$*" >&2
    exit 1
}

assert_equal() # WHAT EXPECTED FOUND
{
    [ "$2" = "$3" ] || fail "$1: expected '$2', found '$3'"
}

assert_contains() # FILE TEXT...
{
    local file=$1 text
    shift
    for text; do
        grep -qF -- "$text" "$file" || fail "no '$text' in: $(head -c 2000 "$file")"
    done
}

assert_same_file() # WHAT EXPECTED FOUND
{
    cmp -s "$2" "$3" || fail "$1: $(diff "$2" "$3" | head -20)"
}

# ---- running the program ----------------------------------------------------------------------------------------------------

# Runs the program into files out and err, and holds its exit status against the first argument.
assert_status() # STATUS ARGUMENT...
{
    local expected=$1 found
    shift
    "$toksweep" "$@" >out 2>err </dev/null
    found=$?
    [ $found -eq "$expected" ] || fail "toksweep $*: expected status $expected, found $found: $(head -c 2000 err)"
}

# Fails with that status and one sentence on stderr, which says all that is given.
assert_error() # STATUS 'PART|PART|...' ARGUMENT...
{
    local expected=$1 parts
    IFS='|' read -r -a parts <<<"$2"
    shift 2
    assert_status "$expected" "$@"
    assert_equal "errors of toksweep $*" 1 "$(grep -c '^error: ' err)"
    tail -n 1 err | grep -q '^error: [^ ].*[^.]$' || fail "toksweep $*: not one sentence at the end: $(cat err)"
    assert_contains err "${parts[@]}"
}

# ---- stores -----------------------------------------------------------------------------------------------------------------

query() # STORE SQL
{
    sqlite3 -batch -noheader -cmd '.timeout 20000' "$1" "$2" || fail "$1: $2"
}

assert_query() # STORE EXPECTED SQL
{
    assert_equal "$3" "$2" "$(query "$1" "$3")"
}

assert_intact() # STORE
{
    assert_query "$1" ok 'PRAGMA integrity_check'
    assert_query "$1" '' 'PRAGMA foreign_key_check'
}

# Everything that must not depend on how a sweep was run: cells, answers to the last bit of the margin, and what entered the model.
dump_answers() # STORE
{
    query "$1" "
        SELECT cell.digest, cell.label, cell.frames, cell.dtype, sample.name, answer.status, answer.extracted, answer.correct,
               coalesce(hex(ieee754_to_blob(margin)), 'none'), tokens_digest, cost.frames, tokens_before, tokens_visual, tokens_marker,
               tokens_text, tokens_generated, quote(raw), quote(message)
        FROM cell
        LEFT JOIN answer ON answer.cell_id = cell.id
        LEFT JOIN sample ON sample.id = answer.sample_id
        LEFT JOIN cost ON cost.answer_id = answer.id
        ORDER BY cell.digest, sample.name;
        SELECT key, hex(ieee754_to_blob(threshold)), hex(ieee754_to_blob(achieved_ratio)), n_videos FROM calibration ORDER BY key"
}

# ---- inputs -----------------------------------------------------------------------------------------------------------------

# A Video-MME manifest: so many questions on each of the named videos.
write_manifest() # FILE N_QUESTIONS VIDEO...
{
    local file=$1 n=$2 separator='[' video k
    shift 2
    for video; do
        for k in $(seq "$n"); do
            printf '%s{"videoID": "%s", "question_id": "%s-%d", "task_type": "Kind %d", "question": "What is in part %d of the video?", ' \
                "$separator" "$video" "$video" "$k" "$k" "$k"
            printf '"options": ["A. A cat.", "B. A dog.", "C. A bike.", "D. Nothing."], "answer": "%s"}' "$(printf '%b' "\\$(printf %o $((64 + k)))")"
            separator=$',\n'
        done
    done >"$file"
    printf ']\n' >>"$file"
}

# A sweep of the micro checkpoint over the clips; the axis of compressors comes from stdin, indented by four.
write_sweep() # FILE FRAMES DTYPE
{
    cat >"$1" - <<EOF
name: ${1%.yaml}
model: $model
runner: {name: native, dtype: $3}
profile: lmms-0.3.4
calibration: {videos: 2}
axes:
  benchmark: {name: videomme, manifest: manifest.json, videos: $clips}
  frames: $2
  compressor:
$(cat)
EOF
}
