# Workers with a store each: merged, they are the store of one that did it all.
. "$(dirname "$0")/lib.sh"

write_manifest manifest.json 2 demo-1 demo-2 demo-3 demo-4
write_sweep sweep.yaml '[2, 3]' f32 <<<'
    - none
    - {name: dyntok, threshold: 0.5}'
assert_status 0 run sweep.yaml --store whole
dump_answers whole >expected
for k in 1 2 3; do
    assert_status 0 run sweep.yaml --store part$k --shard $k/3
done
assert_status 0 merge all part1 part2 part3
assert_contains err "'part1': " "'part2': " "'part3': "
dump_answers all >found
assert_same_file 'three parts merged' expected found
assert_intact all
assert_query all 3 'SELECT count(*) FROM run'
assert_query all "$(query whole 'SELECT count(*) FROM answer')" 'SELECT count(*) FROM answer'
# Nothing is left to do, and nothing comes in twice.
assert_status 0 run sweep.yaml --store all
assert_query all 3 'SELECT count(*) FROM run'
assert_status 0 merge all part2 whole
assert_contains err "'part2': 0 answers and 0 cells are new" "'whole': 0 answers and 0 cells are new"
dump_answers all >found
assert_same_file 'parts merged again' expected found

# A worker that went on.
assert_status 0 run sweep.yaml --store late --limit 2
assert_status 0 merge into late
assert_status 0 run sweep.yaml --store late
assert_status 0 merge into late
dump_answers into >found
assert_same_file 'a part that went on' expected found

# What cannot be merged leaves what was there.
dump_answers all >expected
for bad in manifest.json sweep.yaml; do
    assert_error 3 "'$bad' is not a store" merge all $bad
done
assert_error 3 "cannot open store 'nowhere'" merge all nowhere
assert_error 2 "'all' is the store that is merged into; name the others" merge all all
assert_status 2 merge all
assert_contains err 'an operand is missing; usage: toksweep merge [OPTIONS] INTO STORE...'
dump_answers all >found
assert_same_file 'the store after bad merges' expected found
exit 0
