# Two cells, paired: the difference and its doubt agree with what the store holds.
. "$(dirname "$0")/lib.sh"

write_manifest manifest.json 3 demo-1 demo-2 demo-3 demo-4
write_sweep sweep.yaml '[3, 4]' f32 <<<'
    - none
    - {name: dyntok, threshold: [0.4, 0.7]}'
assert_status 0 run sweep.yaml --store store

digest() # LABEL FRAMES
{
    query store "SELECT substr(digest, 1, 12) FROM cell WHERE label = '$1' AND frames = $2"
}

a=$(digest 'dyntok threshold=0.4' 4) b=$(digest none 4)
pairs="answer AS x JOIN answer AS y USING (sample_id) WHERE x.cell_id = (SELECT id FROM cell WHERE digest LIKE '$a%')
       AND y.cell_id = (SELECT id FROM cell WHERE digest LIKE '$b%')"

assert_status 0 compare store $a $b --format csv --margin 3
sqlite3 found '.mode csv' '.import out comparison'
assert_query found "12|4|$(query store "SELECT sum(x.correct > y.correct), sum(x.correct < y.correct) FROM $pairs")|0.03" \
    'SELECT questions, videos, only_a, only_b, margin FROM comparison'
assert_query found 1 "SELECT abs(difference - (accuracy_a - accuracy_b)) < 1e-8 AND low + 0 <= difference + 0 AND difference + 0 <= high + 0 FROM comparison"
assert_query found 1 "SELECT abs(difference - $(query store "SELECT avg(x.correct) - avg(y.correct) FROM $pairs")) < 1e-8 FROM comparison"

assert_status 0 compare store $a $b --flips --format csv
[ "$(($(wc -l <out) - 1))" -eq "$(query store "SELECT count(*) FROM $pairs AND x.correct <> y.correct")" ] || fail "flips: $(cat out)"

assert_status 0 compare store $b $b --margin 1
assert_contains out 'A - B  +0.0 points, 95 % +0.0 to +0.0' 'A worse than B by 1 points or more: cannot be told' # equal, but only 12 times
assert_status 0 compare store $b $b --margin 90
assert_contains out 'A worse than B by 90 points or more: ruled out'
assert_status 0 compare store $a $b --format json
assert_query found 1 "SELECT json_valid(readfile('out'))"

assert_status 0 compare store 'dyntok threshold=0.4@4' none@4 --format csv --margin 3
sed 1d out >by_name
assert_status 0 compare store $a $b --format csv --margin 3
sed 1d out >by_digest
assert_same_file 'cells by label and frames' by_digest by_name
assert_error 2 'may be meant|LABEL@FRAMES|4 frames|digest' compare store none $b
assert_error 2 'no cell of store|nothing' compare store $a nothing
assert_error 2 '--margin should be points of accuracy' compare store $a $b --margin -1
assert_error 2 '--margin should be points of accuracy' compare store $a $b --margin much
assert_error 2 '--format should be' compare store $a $b --format yaml

# Another manifest asks other questions.
write_manifest manifest.json 2 demo-1 demo-2
write_sweep other.yaml '4' f32 <<<'
    - none'
assert_status 0 run other.yaml --store store
other=$(query store "SELECT substr(digest, 1, 12) FROM cell ORDER BY id DESC LIMIT 1")
assert_error 2 'which are not the same|compare cells of one manifest' compare store $a $other
