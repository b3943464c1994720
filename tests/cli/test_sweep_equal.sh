# One sweep, run in every way there is, gives the same answers to the last bit; sharing shows only in the counters of work.
. "$(dirname "$0")/lib.sh"

frame_counts='[3, 4]' distinct_frames=5 # spread over the whole video, both counts have its first and its last frame
cells=10 videos=3 questions=3

write_manifest manifest.json $questions demo-2 demo-3 demo-5
for dtype in f32 bf16 int8; do
    write_sweep $dtype.yaml "$frame_counts" $dtype <<<'
    - none
    - {name: dyntok, threshold: [0.4, 0.5, 0.6, 0.7]}'
done

run_as() # DTYPE STORE OPTION...
{
    local dtype=$1 store=$2
    shift 2
    assert_status 0 run $dtype.yaml --store "$store" "$@"
    assert_intact "$store"
    dump_answers "$store" >"$store.txt"
}

assert_all_answered() # STORE
{
    assert_query "$1" $((cells * videos * questions)) "SELECT count(*) FROM answer WHERE NOT failed AND margin IS NOT NULL AND raw IS NOT NULL"
    assert_query "$1" $cells "SELECT count(DISTINCT cell_id) FROM answer"
}

for dtype in f32 bf16; do
    run_as $dtype $dtype.shared --jobs 1 --threads 1
    assert_all_answered $dtype.shared
    run_as $dtype $dtype.alone --jobs 2 --threads 1 --no-share
    run_as $dtype $dtype.jobs --jobs 2 --threads 1
    run_as $dtype $dtype.threads --jobs 1 --threads 2
    run_as $dtype $dtype.both --jobs 2 --threads 2
    for way in alone jobs threads both; do
        assert_same_file "$dtype, $way" $dtype.shared.txt $dtype.$way.txt
    done
done

run_as int8 int8.shared --jobs 1 --threads 1
assert_all_answered int8.shared
run_as int8 int8.alone --jobs 2 --threads 2 --no-share
assert_same_file "int8, alone" int8.shared.txt int8.alone.txt

# The comparison can see: another dtype, and another threshold, are other cells with other margins.
cmp -s f32.shared.txt bf16.shared.txt && fail "f32 and bf16 give the same bytes"
assert_query int8.shared 0 "ATTACH 'bf16.shared' AS other; SELECT count(*) FROM cell WHERE digest IN (SELECT digest FROM other.cell)"
assert_query int8.shared 0 "ATTACH 'bf16.shared' AS other;
    SELECT count(*) FROM answer WHERE margin IN (SELECT margin FROM other.answer)"
assert_query f32.shared $((cells * videos)) "SELECT count(DISTINCT tokens_digest) FROM answer"

# A frame is encoded once per video, however many cells and questions show it; without sharing, as often as it is shown.
for way in shared jobs threads both; do
    assert_query f32.$way $videos "SELECT count(*) FROM video_frames WHERE frames_shown = (3 + 4) * $((cells / 2 * questions))"
    assert_query f32.$way '' "SELECT video, frames_encoded FROM video_frames WHERE frames_encoded <> $distinct_frames"
done
assert_query f32.alone 0 "SELECT count(*) FROM video_frames WHERE frames_encoded <> frames_shown"
assert_query f32.alone 0 "SELECT frames_alone - frames_paid + rows_prefilled_alone - rows_prefilled_paid FROM run_cost"

# The questions of a video share its visual prefix.
assert_query f32.shared 1 "SELECT rows_prefilled_paid < 0.6 * rows_prefilled_alone FROM run_cost"
assert_query f32.shared "$(query f32.alone 'SELECT frames_alone, rows_prefilled_alone, tokens_generated FROM run_cost')" \
    'SELECT frames_alone, rows_prefilled_alone, tokens_generated FROM run_cost'
