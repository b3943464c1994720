# What a store holds, in a terminal: questions, cells, flips; in its width, and nothing in strangers' words steers it.
. "$(dirname "$0")/lib.sh"

write_manifest manifest.json 3 demo-1 demo-2 gone
sed -i 's|"question": "What is in part 3 of the video?", "options": \["A. A cat."|"question": "\\u001b[2J\\u009bWhich? 漢字 \\u202e", "options": ["A. \\u0007A cat that walks for a long, long time over the wall and through the garden until it is evening."|' manifest.json
write_sweep sweep.yaml '[3, 4]' f32 <<<'
    - none
    - {name: dyntok, threshold: [0.4, 0.7]}'
assert_status 0 run sweep.yaml --store store
query store "UPDATE answer SET raw = 'B ' || char(27, 93, 10) || CAST(x'e282' AS TEXT) || ' and much more than fits into the line of a terminal of this width'
    WHERE sample_id = 3 AND NOT failed;
    UPDATE answer SET (status, extracted, correct) = (SELECT 'ok', sample.answer, 1 FROM sample WHERE sample.id = sample_id) WHERE cell_id = 6 AND sample_id IN (1, 2, 3);
    UPDATE answer SET (status, extracted, correct) = (SELECT 'ok', (sample.answer + 1) % 4, 0 FROM sample WHERE sample.id = sample_id) WHERE cell_id = 4 AND sample_id IN (1, 2, 3)"
assert_status 0 run sweep.yaml --store store # has its sums made anew

# No line is wider, none has a control character, all is UTF-8.
assert_plain() # WIDTH
{
    ! LC_ALL=C grep -q $'[\x01-\x08\x0b-\x1f\x7f]' out || fail "control characters: $(cat -v out)"
    ! LC_ALL=C grep -q $'\xc2[\x80-\x9f]\|\xe2\x80[\xa8-\xae]' out || fail "marks that steer: $(cat -v out)"
    iconv -f UTF-8 -t UTF-8 out >/dev/null || fail 'not UTF-8'
    local widest
    widest=$(LC_ALL=C.UTF-8 wc -L <out)
    [ "$widest" -le "$1" ] || fail "a line of $widest columns where there are $1: $(cat out)"
}

for columns in 80 120; do
    COLUMNS=$columns assert_status 0 show store demo-1-3
    assert_plain $columns
    assert_contains out 'demo-1-3 · video demo-1 · Kind 3' 'Which? 漢字' '* C  A bike.' '* the right option' 'dyntok threshold=0.7'
    assert_equal 'answers' 6 "$(grep -c '^\(none\|dyntok\).* \(right\|wrong\|no_answer\) ' out)"
    assert_contains out '…'
    COLUMNS=$columns assert_status 0 show store none@4
    assert_plain $columns
    COLUMNS=$columns assert_status 0 show store
    assert_plain $columns
done

# Flips against the uncompressed cell are those of the store.
COLUMNS=200 assert_status 0 show store demo-1-1 --where 'frames = 4'
gained=$(query store "SELECT count(*) FROM answer AS a JOIN answer AS b USING (sample_id) WHERE sample_id = 1 AND b.cell_id = 4 AND a.cell_id IN (5, 6) AND a.correct > b.correct")
[ "$gained" -ge 1 ] || fail 'nothing to see'
assert_equal gained "$gained" "$(grep -c ' right *gained ' out)"

# A cell's numbers are those of the report; its matrix adds up.
assert_status 0 show store 'dyntok threshold=0.7@4'
accuracy=$(query store "SELECT printf('%.1f', 100 * accuracy) FROM cell_accuracy WHERE id = 6")
assert_contains out "accuracy  $accuracy %" '6 answered of 9, 3 failed' 'missing_video' 'gone-2'
assert_equal 'sum of the matrix' 6 "$(sed -n '/^right option/,$p' out | awk '/^[A-D] / { for (i = 2; i <= NF; i++) sum += $i } END { print sum }')"

# Two cells: what flips between them.
assert_status 0 show store --cell none@4 --cell 'dyntok threshold=0.7@4'
flips=$(query store "SELECT count(*) FROM answer AS a JOIN answer AS b USING (sample_id) WHERE a.cell_id = 4 AND b.cell_id = 6 AND a.correct <> b.correct")
assert_contains out "videomme, 9 questions, 2 cells; $flips that some cells have right"
assert_equal 'flips listed' "$flips" "$(grep -c ' 1 of 2 ' out)"
assert_status 0 show store --limit 1
assert_equal 'at most' 1 "$(grep -c '^demo' out)"

assert_error 2 "no question and no cell called 'demo-9'|toksweep show store" show store demo-9
assert_error 2 'holds no such cell' show store --cell nothing
assert_error 2 'holds no such cell' show store --where 'frames > 9'
assert_error 2 '--limit' show store --limit 0

# What tells cells apart is a column as soon as it does.
assert_status 0 report store
! grep -q sampling out || fail 'a column that says nothing'
assert_status 0 run sweep.yaml --set axes.sampling=centre --store store
for by in cell task_type; do
    assert_status 0 report store --by $by
    assert_contains out '  sampling  ' '  uniform  ' '  centre  '
    ! grep -q dtype out || fail "another column that says nothing: $(cat out)"
done
