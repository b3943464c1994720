# Controls: a cell with `match` has, for every question, as many tokens as the cell that it matches, or the nearest that its method can
# make. However the sweep is run, cut short and continued, its answers are the same to the last bit.
. "$(dirname "$0")/lib.sh"

write_manifest manifest.json 2 demo-2 demo-5
write_sweep sweep.yaml '[4]' f32 <<'EOT'
    - {name: random, match: ["dyntok*", "dytok*"]}
    - none
    - {name: dyntok, threshold: 0.6}
    - {name: dyntok, target_ratio: 0.4}
    - [{name: dytok, keep: 0.3}, {name: visionzip}]
    - {name: pool, mode: [bilinear, adaptive], match: "dyntok threshold=0.6"}
    - {name: uniform, per: whole_frames, match: "dyntok threshold=0.6"}
    - {name: tome, order: made, match: "dytok keep=0.3 + visionzip"}
    - [{name: divprune, match: "dyntok target_ratio=0.4"}, {name: fastv, layer: 1}]
EOT
options=(--set "assistant=$source/tests/fixtures/micro-hf" --threads 1)
cells=$((4 + 3 + 2 + 1 + 1 + 1)) answers=$((12 * 4))

run_into() # STORE OPTION...
{
    local store=$1
    shift
    assert_status 0 run sweep.yaml --store "$store" "${options[@]}" "$@"
    assert_intact "$store"
    assert_query "$store" $answers 'SELECT count(*) FROM answer WHERE NOT failed'
    dump_answers "$store" >"$store.txt"
}

run_into whole --jobs 1
assert_query whole $cells 'SELECT count(*) FROM cell'
run_into alone --jobs 2 --no-share
assert_same_file 'without sharing' whole.txt alone.txt

# ---- as many tokens, question by question -----------------------------------------------------------------------------------

made='tokens_visual + tokens_marker'
assert_query whole 32 "SELECT count(*) FROM cost WHERE tokens_match IS NOT NULL"
pairs="FROM cell JOIN cell AS other ON other.digest = cell.match_digest
    JOIN answer ON answer.cell_id = cell.id JOIN answer AS told ON told.cell_id = other.id AND told.sample_id = answer.sample_id
    JOIN cost ON cost.answer_id = answer.id JOIN cost AS known ON known.answer_id = told.id"
assert_query whole "32|0" "SELECT count(*), sum(cost.tokens_match <> known.tokens_visual + known.tokens_marker) $pairs"
assert_query whole 20 "SELECT count(*) $pairs WHERE cost.tokens_visual + cost.tokens_marker = cost.tokens_match
    AND (cell.label LIKE 'random %' OR cell.label LIKE 'tome %' OR cell.label LIKE 'divprune %')"
assert_query whole 0 "SELECT count(*) FROM cell JOIN answer ON cell_id = cell.id JOIN cost ON answer_id = answer.id
    WHERE cell.label LIKE 'pool mode=adaptive %' AND abs($made - tokens_match) >
        (SELECT min(abs(4 * value * (value + 1) - tokens_match)) FROM generate_series(1, 27))"
assert_query whole 0 "SELECT count(*) FROM cell JOIN answer ON cell_id = cell.id JOIN cost ON answer_id = answer.id
    WHERE cell.label LIKE 'uniform %' AND abs($made - tokens_match) > (SELECT min(abs(210 * value - tokens_match)) FROM generate_series(0, 4))"

# The control of a method that looks at the question does so in its number of tokens alone; what is drawn is another cell's business.
assert_query whole 0 "SELECT count(*) FROM cell_accuracy WHERE match_off <> 0 AND label LIKE 'random%'"
assert_query whole 'pool match=(dyntok threshold=0.6)' "SELECT label FROM cell_accuracy WHERE label LIKE 'pool match%' AND match_off > 0 AND tokens_match > 0"

# ---- continued --------------------------------------------------------------------------------------------------------------

# Controls whose match is in the store already, a match whose controls are, and nothing but one of each.
for left in "match_digest IS NOT NULL" "match_digest IS NULL" "label LIKE 'random match=(dytok%'" "label LIKE 'dytok%'"; do
    cp whole cut
    query cut "PRAGMA foreign_keys = ON; DELETE FROM answer WHERE cell_id IN (SELECT id FROM cell WHERE $left) AND sample_id % 2 = 0"
    run_into cut --jobs 2
    assert_same_file "after losing $left" whole.txt cut.txt
done

for moment in 0.05 0.1 0.2 0.3 0.5; do
    "$toksweep" run sweep.yaml --store killed "${options[@]}" --jobs 2 >/dev/null 2>&1 </dev/null &
    sleep $moment
    kill -9 $! 2>/dev/null
    wait $! 2>/dev/null
done
run_into killed --jobs 2
assert_same_file 'after kills' whole.txt killed.txt

"$toksweep" run sweep.yaml --store pair "${options[@]}" --jobs 1 >/dev/null 2>&1 </dev/null &
run_into pair --jobs 1
wait
assert_same_file 'by two processes' whole.txt pair.txt

# One question of a control alone.
assert_status 0 run sweep.yaml --store one "${options[@]}" --samples demo-5-2
assert_query one "$(query whole "SELECT group_concat($made) FROM (SELECT * FROM cost JOIN answer ON answer.id = answer_id
    JOIN sample ON sample.id = sample_id JOIN cell ON cell.id = cell_id WHERE sample.name = 'demo-5-2' ORDER BY digest)")" \
    "SELECT group_concat($made) FROM (SELECT * FROM cost JOIN answer ON answer.id = answer_id JOIN cell ON cell.id = cell_id ORDER BY digest)"

# ---- what is printed --------------------------------------------------------------------------------------------------------

assert_status 0 plan sweep.yaml "${options[@]}"
assert_contains out "random match=(dytok keep=0.3 + visionzip)" "match, budgets" "match, target" "guides' TFLOP"
grep -Eq ' dytok keep=0.3 \+ visionzip +840 +292 +34.8 +budgets ' out || fail "plan: $(grep dytok out)"
grep -Eq ' random match=\(dytok keep=0.3 \+ visionzip\) +840 +292 ' out || fail "plan: $(grep dytok out)"
assert_status 0 report whole
assert_contains out 'to match' 'off %' 'guide rows' 'guide ms'
grep -E ' random match=\(dyntok threshold=0.6\) ' out | grep -Eq ' 342.0 +0.0 ' || fail "report: $(grep random out)"
assert_status 0 report whole --format csv
head -n 1 out | grep -q ',tokens_match,match_off,' || fail "report: $(head -n 1 out)"

# ---- what is refused --------------------------------------------------------------------------------------------------------

assert_error 2 "sweep.yaml:|no cell 'dyntok threshold=0.7' to match at 4 frames; there are 'none'" \
    plan sweep.yaml "${options[@]}" --set 'axes.compressor.7.match=dyntok threshold=0.7'
assert_error 2 "compressor tome: 'match' and 'keep' both say how much is kept; leave one out" \
    plan sweep.yaml "${options[@]}" --set axes.compressor.7.keep=0.5
