# The report in a real browser: report_driver.html uses it as a person would and says on the console what it found. Skipped where there is
# no chromium.
. "$(dirname "$0")/lib.sh"
tests=$(cd "$source/tests/cli" && pwd)
browser=$(command -v chromium || command -v chromium-browser) || { echo 'skip: no chromium'; exit 77; }

# As root there is no sandbox to be had, and the pages are our own. In place of the shell that calls it, so that its process can be ended.
chromium() # ARGUMENT...
{
    exec "$browser" --headless=new --no-sandbox --disable-gpu --hide-scrollbars --no-first-run --disable-component-update --disable-sync \
        --user-data-dir="$(mktemp -d "$folder/profile.XXXXXX")" --allow-file-access-from-files --enable-logging=stderr "$@"
}

# Opens a page and waits until it says that it is at its end; its words are in the file `console`, one "TEST" a line.
browse() # PAGE QUERY
{
    local pid n
    chromium "file://$tests/$1?$2" 2>log >log.out &
    pid=$!
    for ((n = 0; n < 600; n++)); do
        grep -qE '"TEST end"|"Uncaught' log && break
        kill -0 $pid 2>/dev/null || break
        sleep 0.1
    done
    kill $pid 2>/dev/null
    wait $pid 2>/dev/null
    grep -q '"TEST end"' log || fail "$1 did not come to its end: $(tail -c 2000 log)"
    sed -n 's/.*CONSOLE[:(][0-9]*)\{0,1\}\] "TEST \(.*\)", source:.*/\1/p' log >console
    assert_equal "other words on the console of $1" '' "$(tr -d "\0" <log | grep CONSOLE | grep -v '"TEST ')"
    ! grep '^FAIL' console >&2 || fail "$1"
}

# ---- a small store with everything, and words that would like to be markup ---------------------------------------------------------------

write_manifest manifest.json 3 demo-1 demo-2 demo-3 gone
write_sweep sweep.yaml '[3, 4]' f32 <<<'
    - none
    - {name: dyntok, threshold: [0.4, 0.7]}
    - {name: pool, stride: 3}'
sed -i 's|"question": "What is in part 1 of the video?", "options": \["A. A cat."|"question": "</script><script>window.harmed=1</script><!-- \\u2028 \\u202e part 1?", "options": ["A. <img src=x onerror=window.harmed=2>"|' manifest.json
assert_status 0 run sweep.yaml --store store --keep-groups
query store "UPDATE answer SET raw = '<img src=x onerror=window.harmed=3>\"''&amp;</script>' WHERE cell_id = 1 AND sample_id = 1;
             UPDATE answer SET raw = 'cut ' || CAST(x'e282' AS TEXT) || ' off' WHERE cell_id = 2 AND sample_id = 1;
             UPDATE answer SET (status, extracted, correct) = (SELECT 'ok', sample.answer, 1 FROM sample WHERE sample.id = sample_id)
                 WHERE cell_id = 7 AND sample_id IN (2, 4, 6, 8) OR cell_id = 5 AND sample_id IN (1, 8);
             UPDATE answer SET (status, extracted, correct) = (SELECT 'ok', (sample.answer + 1) % 4, 0 FROM sample WHERE sample.id = sample_id)
                 WHERE cell_id = 5 AND sample_id IN (2, 4, 6) OR cell_id = 7 AND sample_id = 1"
assert_status 0 report store --html report.html --frames 4M --title 'a <b> & "c"'
assert_contains err 'report.html: 8 cells, 96 answers' 'frames of 3 videos are in it; 1 are left out'
assert_equal 'closing tags of the page' 3 "$(grep -o '</script' report.html | wc -l)"
! grep -q 'https\{0,1\}://[^w]' report.html || fail 'the page names an address'

digest() { query store "SELECT substr(digest, 1, 12) FROM cell WHERE id = $1"; }
pairs='FROM answer AS a JOIN answer AS b USING (sample_id) WHERE a.cell_id = 5 AND b.cell_id = 7 AND NOT a.failed AND NOT b.failed'
flips=$(query store "SELECT sum(a.correct AND b.correct) || ' ' || sum(a.correct AND NOT b.correct) || ' ' || sum(b.correct AND NOT a.correct)
    || ' ' || sum(NOT a.correct AND NOT b.correct) $pairs")
"$toksweep" compare store "$(digest 7)" "$(digest 5)" --format csv | tr -d '\r' >comparison.csv
difference=$(sqlite3 :memory: '.mode csv' '.import comparison.csv c' '.mode list' "
    SELECT printf('%s points', replace(printf('%+.1f', 100 * difference), '-', char(8722))) FROM c")
split=$(query store "SELECT count(*) FROM (SELECT 1 FROM answer WHERE NOT failed GROUP BY sample_id HAVING min(correct) < max(correct))")

# ---- a hundred thousand answers: the mock runner's, forty times over ---------------------------------------------------------------------

write_manifest many.json 4 $(seq -f clip-%g 25)
cat >mock.yaml <<'EOF'
runner: mock
axes: { benchmark: { name: videomme, manifest: many.json }, frames: [8], compressor: [none] }
EOF
assert_status 0 run mock.yaml --store big
query big "
    CREATE TEMP TABLE k AS WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < 2400) SELECT i FROM k;
    INSERT INTO sample SELECT 1000 + i, benchmark_id, 'more-' || i, 1000 + i, video_id, question || ' Once more, ' || i, answer, task_type,
        duration, domain, sub_category FROM k JOIN sample ON sample.id = 1 + i % 100;
    INSERT INTO option SELECT 1000 + i, position, text FROM k JOIN option ON option.sample_id = 1 + i % 100;
    DELETE FROM answer"
rest=$(query big "SELECT group_concat(name, ', ') FROM pragma_table_info('cell') WHERE name NOT IN ('id', 'digest', 'frames')")
query big "
    INSERT INTO cell (id, digest, frames, $rest) WITH RECURSIVE k(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM k WHERE i < 40)
        SELECT i, printf('%064d', i), i, $rest FROM k, cell WHERE cell.id = 1;
    INSERT INTO answer (cell_id, sample_id, run_id, status, raw, extracted, correct, margin, answered_at)
    SELECT cell.id, sample.id, 1, 'ok', char(65 + (cell.id * 7 + sample.id * 13) % 4), (cell.id * 7 + sample.id * 13) % 4,
        (cell.id * 7 + sample.id * 13) % 4 = sample.answer, (cell.id * sample.id % 997) / 100.0, '2026-01-01T00:00:00Z' FROM cell, sample"
assert_query big 100000 'SELECT count(*) FROM answer'
assert_status 0 report big --html big.html

# ---- using it ----------------------------------------------------------------------------------------------------------------------------

here="file://$folder"
tokens=$(query store "SELECT tokens_visual FROM cost JOIN answer ON answer.id = answer_id WHERE cell_id = 7 AND sample_id = 2")
browse report_driver.html "report=$here/report.html&big=$here/big.html&big_cells=40&questions=12&cells=8&split=$split&failed=3&a=4&b=6&tokens=$tokens&flips=${flips// /+}&difference=$(sed 's/+/%2B/g; s/ /+/g' <<<"$difference")"
checks=$(grep -c '^ok ' console)
[ "$checks" -ge 100 ] || fail "only $checks checks"
assert_contains console 'title a <b> & "c"'
grep '^time' console

# The page's numbers are those of the table.
sed -n 's/^row //p' console | awk -F'|' '{ print $1 "|" $2 "|" $3 "|" $4 }' | sort >shown
"$toksweep" report store --format md | sed 1,2d | awk -F' *[|] *' '{ print $3 "|" $4 "|" $5 "|" $6 }' | sort >known
assert_same_file 'rows of the table' known shown

# ---- looking at it -----------------------------------------------------------------------------------------------------------------------

for theme in light:1 dark:0; do
    (chromium --blink-settings=preferredColorScheme=${theme#*:} --window-size=1280,1000 --virtual-time-budget=2000 \
        --screenshot="$folder/${theme%:*}.png" "$here/report.html") 2>log >log.out
    assert_equal "words on the console" '' "$(grep CONSOLE log)"
done
browse report_pictures.html "light=$here/light.png&dark=$here/dark.png"
