# Memory that runs out in the middle of a run: wherever it does, the answers that it hits are out_of_memory and nothing else is lost or
# changed, the run goes on, and a run that retries failures completes it. On the emulated card alone, which can be told when to fail.
. "$(dirname "$0")/../cli/lib.sh"
export EMULATED_APART=1
"$toksweep" list devices | grep -q '^cuda:0  emulated card' || { echo 'skip: no emulated card'; exit 77; }

write_manifest manifest.json 1 demo-1 demo-2
write_sweep sweep.yaml '[1]' bf16 <<'YAML'
    - {name: dyntok, threshold: 0.6}
YAML

EMULATED_ALLOCATIONS=$folder/count assert_status 0 run sweep.yaml --store whole --jobs 1 --threads 1 --device cuda
dump_answers whole >whole.txt
assert_query whole 2 "SELECT count(*) FROM answer WHERE NOT failed"
count=$(cat count)

# Counted from the end, where the second video is in work: in generation, before its prefix, and among its features.
for back in 2 8 12; do
    EMULATED_FAIL=$(($(cat count) - back)) assert_status 0 run sweep.yaml --store store$back --jobs 1 --threads 1 --device cuda
    assert_intact store$back
    assert_query store$back 1,1 "SELECT sum(NOT failed) || ',' || sum(status = 'out_of_memory') FROM answer"
done
assert_status 0 run sweep.yaml --store store$back --retry-failed --jobs 1 --threads 1 --device cuda
dump_answers store$back >again.txt
assert_same_file 'answers after a second run' whole.txt again.txt
