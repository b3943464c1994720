# Methods before the language model, each with the micro checkpoint: alone, among others, shared or not and with any threads the answers
# are the same to the last bit; settings that change nothing give the baseline's; what is kept is what the plan promised.
. "$(dirname "$0")/lib.sh"

write_manifest manifest.json 2 demo-2 demo-5
write_sweep all.yaml '[4]' f32 <<'EOT'
    - none
    - {name: dyntok, direction: [columns, both, boxes, time, rows_time]}
    - {name: dyntok, groups: 40, per: [frame, video]}
    - {name: dyntok, threshold: 0.4, size_bias: true}
    - {name: dyntok, threshold: 1}
    - {name: pool, mode: [bilinear, average, max]}
    - {name: pool, mode: adaptive, side: 5}
    - {name: uniform, keep: [0.25, 1]}
    - {name: uniform, per: whole_frames}
    - {name: random, keep: 0.25}
    - {name: dynamic-vlm, tokens: 400, pools: [x, h]}
    - {name: slowfast, every: 2}
    - {name: tome, per: [frame, video]}
    - {name: tome, order: made}
    - {name: tome, keep: 1, size_bias: false}
    - {name: tome, keep: 0.3, metric: [x, keys]}
    - {name: vqtoken, k: 12}
    - {name: vqtoken, k: 12, form: runs, grid: pooled}
    - {name: vqtoken, adaptive: elbow, grid: pooled}
EOT
cells=30 videos=2 questions=2

run_as() # STORE OPTION...
{
    local store=$1
    shift
    assert_status 0 run all.yaml --store "$store" "$@"
    assert_intact "$store"
    dump_answers "$store" >"$store.txt"
}

run_as shared --jobs 1 --threads 1
assert_query shared $((cells * videos * questions)) "SELECT count(*) FROM answer WHERE NOT failed AND margin IS NOT NULL"
run_as alone --jobs 2 --threads 1 --no-share
run_as threads --jobs 1 --threads 2
assert_same_file 'without sharing' shared.txt alone.txt
assert_same_file 'with two threads' shared.txt threads.txt

# The same tokens are the same prefill: what changes nothing has the digest of the baseline.
same_as_none="SELECT count(DISTINCT tokens_digest) FROM answer JOIN cell ON cell.id = cell_id JOIN sample ON sample.id = sample_id"
assert_query shared $videos "$same_as_none WHERE label IN ('none', 'dyntok threshold=1', 'uniform keep=1')"
assert_query shared 1 "SELECT count(DISTINCT margin) FROM answer JOIN cell ON cell.id = cell_id JOIN sample ON sample.id = sample_id
    WHERE sample.name = 'demo-2-1' AND label IN ('none', 'dyntok threshold=1', 'uniform keep=1', 'tome keep=1 size_bias=false')"

# tokens: content and markers of four frames on a pooled grid of 14 x 14.
kept() # LABEL
{
    query shared "SELECT DISTINCT tokens_visual || ' ' || tokens_marker FROM cost JOIN answer ON answer.id = answer_id JOIN cell ON cell.id = cell_id
        WHERE label = '$1'"
}
assert_kept() # LABEL CONTENT MARKERS
{
    assert_equal "tokens of $1" "$2 $3" "$(kept "$1")"
}
assert_kept none $((4 * 196)) $((4 * 14))
assert_kept 'dyntok groups=40' 160 $((4 * 14))
assert_kept 'dyntok groups=40 per=video' 160 $((4 * 14))
assert_kept 'pool stride=4' $((4 * 49)) $((4 * 7))
assert_kept 'pool stride=4 mode=max' $((4 * 36)) $((4 * 6))
assert_kept 'uniform keep=0.5 per=whole_frames' $((2 * 196)) $((2 * 14))
assert_kept 'slowfast every=2' $((2 * 196 + 2 * 49)) $((2 * 14 + 2 * 7))
assert_kept 'dynamic-vlm tokens=400' $((4 * 100)) $((4 * 10))
assert_kept 'tome keep=0.5' $((4 * 98)) $((4 * 14))
assert_kept 'tome keep=0.5 order=made' $((4 * 98)) 1
assert_kept 'vqtoken k=12' 12 1

# The plan knows exact numbers beforehand.
assert_status 0 plan all.yaml
for label in 'dyntok groups=40' 'pool stride=4' 'slowfast every=2' 'dynamic-vlm tokens=400' 'tome keep=0.5' 'vqtoken k=12'; do
    numbers=$(kept "$label")
    grep -Eq " $label +840 +$((${numbers% *} + ${numbers#* })) .* exact " out || fail "the plan expects something else of '$label': $(grep " $label " out)"
done
