# Methods inside the language model, each with the micro checkpoint: alone, among others, shared or not and with any threads the answers are
# the same to the last bit; settings that drop nothing give the baseline's; what questions share is what the method allows.
. "$(dirname "$0")/lib.sh"

write_manifest manifest.json 2 demo-2 demo-5
some='
    - {name: fastv, layer: 1, keep: 0.3}
    - {name: sparsevlm, form: v2}
    - [{name: dyntok}, {name: dycoke, k: 0, layer: 1, hold: 2}]
    - {name: pact, layer: 2}'
write_sweep some.yaml '[3]' f32 <<<"$some"
write_sweep all.yaml '[3]' f32 <<EOT
    - none
    - {name: fastv, layer: 1, keep: 1}
    - {name: fastv, layer: 2, form: hide}
    - {name: pyramiddrop, keep: [0.5, 1]}
    - {name: sparsevlm, retain: [192, 64]}
    - {name: sparsevlm, keep1: 1, keep2: 1, keep3: 1}
    - {name: sparsevlm, count: rank, layer2: 0, layer3: 0}
    - {name: framefusion, threshold: [0.6, 0.95]}
    - {name: framefusion, cost: 1, threshold: 1.5}
    - {name: dycoke, layer: 1}
    - {name: dycoke, k: 0, p: 0}
    - {name: holitom, keep: 0.5}
    - {name: holitom, keep: 0.5, inner_keep: 1}
    - {name: holitom, keep: 1, tau: 2, inner_keep: 1}
    - {name: flashvid}
    - {name: flashvid, keep: 1, expansion: 1, alpha: 1, inner_keep: 1}
    - {name: prunevid, inner_layer: 2}
    - {name: sttm, layer: 1}
    - [{name: dyntok}, {name: sparsevlm}]$some
EOT
cells=26 videos=2 questions=2

run_as() # SWEEP STORE OPTION...
{
    local sweep=$1 store=$2
    shift 2
    assert_status 0 run "$sweep.yaml" --store "$store" "$@"
    assert_intact "$store"
    dump_answers "$store" >"$store.txt"
    query "$store" "SELECT label, sample.name, tokens_mean, tokens_cached FROM cell JOIN answer ON cell_id = cell.id
        JOIN sample ON sample.id = sample_id JOIN cost ON answer_id = answer.id ORDER BY cell.digest, sample.name" >>"$store.txt"
}

run_as all shared --jobs 1 --threads 1
assert_query shared $((cells * videos * questions)) "SELECT count(*) FROM answer WHERE NOT failed AND margin IS NOT NULL"
run_as all alone --jobs 2 --threads 1 --no-share
run_as all threads --jobs 1 --threads 2
assert_same_file 'without sharing' shared.txt alone.txt
assert_same_file 'with two threads' shared.txt threads.txt

# A sweep of a few of these cells gives these cells' answers.
run_as some few --jobs 2 --threads 1
[ "$(wc -l <few.txt)" -eq $((2 * 4 * videos * questions)) ] || fail "$(wc -l <few.txt) lines of answers from a sweep of four cells"
grep -vxFf shared.txt few.txt >other && fail "among fewer cells: $(head -3 other)"

# What drops nothing is the baseline, for every question; what drops is not.
same_as_none="SELECT count(DISTINCT hex(ieee754_to_blob(margin))) FROM answer JOIN cell ON cell.id = cell_id JOIN sample ON sample.id = sample_id
    WHERE sample.name = 'demo-5-2' AND label IN"
idle="'none', 'fastv keep=1 layer=1', 'pyramiddrop keep=1', 'sparsevlm keep1=1 keep2=1 keep3=1', 'framefusion cost=1 threshold=1.5',
    'dycoke k=0 p=0', 'holitom keep=1 tau=2 inner_keep=1', 'flashvid keep=1 alpha=1 expansion=1 inner_keep=1'"
assert_query shared 8 "SELECT count(DISTINCT label) FROM cell WHERE label IN ($idle)"
assert_query shared 1 "$same_as_none ($idle)"
assert_query shared 2 "$same_as_none ('none', 'fastv keep=0.3 layer=1')"
assert_query shared 2 "$same_as_none ('none', 'holitom keep=0.5')"

# The layers below the one that asks about the question are computed once for a video's questions.
shared_layers() # LABEL
{
    query shared "SELECT DISTINCT shared_layers FROM cost JOIN answer ON answer.id = answer_id JOIN cell ON cell.id = cell_id WHERE label = '$1'"
}
for pair in 'none:3' 'fastv keep=0.5 form=hide:3' 'pyramiddrop keep=0.5:1' 'sparsevlm retain=192:1' 'dycoke k=0.7 layer=1:3' 'holitom keep=0.5:2' \
    'holitom keep=0.5 inner_keep=1:3' 'flashvid keep=0.25:2' 'prunevid keep=0.5 inner_layer=2:1' 'pact keep=0.55 layer=2:3' 'sttm spatial=0.85 layer=1:3'; do
    assert_equal "layers that questions share with ${pair%:*}" "${pair#*:}" "$(shared_layers "${pair%:*}")"
done
assert_query shared 1 "SELECT rows_prefilled_paid < 0.8 * rows_prefilled_alone FROM run_cost"

# A layer that the model does not have is refused before anything runs.
write_sweep deep.yaml '[3]' f32 <<<'
    - {name: sparsevlm, layer1: 3}'
assert_error 2 "option 'layer1' is 3 and the model's layers are 0 to 2" run deep.yaml --store deep
