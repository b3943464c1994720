# A pipeline: an equal rerun passes, a threshold set too low fails, too few questions are inconclusive, a run that broke off is incomplete.
. "$(dirname "$0")/lib.sh"

# ---- what is judged -----------------------------------------------------------------------------------------------------------

# 40 questions on as many videos; the right letters come from stdin, one a line.
write_questions() # FILE
{
    local separator='[' i=0 letter
    while read -r letter; do
        i=$((i + 1))
        printf '%s{"videoID": "v%d", "question_id": "q%d", "task_type": "Kind %d", "question": "Where is the cat in part %d?", ' \
            "$separator" $i $i $((i % 3)) $i
        printf '"options": ["A. Left.", "B. Right.", "C. Above.", "D. Nowhere."], "answer": "%s"}' "$letter"
        separator=$',\n'
    done >"$1"
    printf ']\n' >>"$1"
}

mkdir videos
for i in $(seq 40); do
    ln -s "$clips/demo-$((i % 6 + 1)).mp4" videos/v$i.mp4
done
clips=videos
sweep() # STORE THRESHOLD OPTION...
{
    local store=$1 threshold=$2
    shift 2
    write_sweep sweep.yaml 2 f32 <<<"    - {name: dyntok, threshold: $threshold}"
    assert_status 0 run sweep.yaml --store "$store" "$@"
}

# The model's weights are random, so its own answers at 0.6 are made the right ones: then another threshold can only lose.
yes A | head -40 | write_questions manifest.json
sweep first 0.6
query first "SELECT char(65 + extracted) FROM answer ORDER BY sample_id" | write_questions manifest.json
sweep main 0.6
sweep rerun 0.6
sweep low -1
sweep few 0.6 --limit 20
sweep few_again 0.6 --limit 20

cat >gate.yaml <<'EOF2'
name: sample
cells: dyntok threshold=0.6
baseline: main
gates:
  - { metric: accuracy, margin: 10, alpha: 0.05 }
  - { metric: answers, exact: true }
  - { metric: replies }
  - { metric: tokens }
  - { metric: margin }
  - { metric: tokens_prefilled, most_ratio: 1 }
  - { metric: frames_encoded, least_ratio: 1, most_ratio: 1 }
  - { metric: tokens, least: 1, most: 500 }
  - { metric: vision_ms, most_ratio: 1000 }
EOF2
cat >accuracy.yaml <<'EOF2'
cells: [dyntok threshold=0.6@2]
gates: [{ metric: accuracy, margin: 10 }]
EOF2
low='dyntok threshold=-1'

# ---- verdicts -----------------------------------------------------------------------------------------------------------------

assert_status 0 gate rerun gate.yaml
assert_contains out 'pass: 9 pass' '100.0 % against 100.0 %, +0.0 points' '0 lost and 0 won of 40 questions on 40 videos'

for file in "$source"/configs/gates/*.yaml; do # with times and a margin of their own: what they say of these stores is another matter
    "$toksweep" gate rerun "$file" --cell 'dyntok threshold=0.6' --baseline main >out 2>err
    [ $? -ne 2 ] || fail "$file: $(cat err)"
    assert_contains out 'accuracy margin 2'
done

assert_status 0 export main answers --out expected.csv
assert_equal 'rows of expected results' 41 "$(wc -l <expected.csv)"
assert_status 1 gate low accuracy.yaml --cell "$low" --baseline expected.csv
assert_contains out 'fail          accuracy margin 10' 'fail: 1 fail'
assert_query low 1 "SELECT avg(correct) < 0.9 FROM answer" # the threshold has really cost that much
lost=$(query low "SELECT sum(NOT correct) FROM answer")
assert_contains out "$lost lost and 0 won of 40 questions on 40 videos"

assert_status 4 gate few accuracy.yaml --baseline few_again
assert_contains out 'inconclusive  accuracy margin 10' '0 lost and 0 won of 20 questions on 20 videos; of equals about'
assert_status 3 gate few accuracy.yaml --baseline main
assert_contains out 'incomplete    accuracy margin 10' 'of 40 questions that the baseline answered, 20 have no answer and 0 failed'
assert_status 4 gate main accuracy.yaml --baseline few # the other way round 20 answers are left out
assert_contains out 'of 20 questions on 20 videos'
assert_status 3 gate main accuracy.yaml
assert_contains out 'against none' 'no earlier revision of the cell'
cat >alone.yaml <<'EOF2'
cells: dyntok threshold=0.6
gates: [{ metric: tokens, most: 500 }, { metric: tokens, most: 100 }]
EOF2
assert_status 1 gate main alone.yaml # bounds without a baseline need none
assert_contains out 'pass          tokens most 500' 'fail          tokens most 100'

cp main failed
query failed "UPDATE answer SET status = 'timeout', raw = NULL, message = 'late', correct = 0 WHERE sample_id = 5"
assert_status 3 gate failed gate.yaml
assert_contains out 'of 40 questions that the baseline answered, 0 have no answer and 1 failed (timeout)'

cp main moved
query moved "UPDATE answer SET extracted = (extracted + 1) % 4, correct = 0 WHERE sample_id = 7; UPDATE run SET device = 'cpu: another'"
assert_status 1 gate moved gate.yaml
assert_contains out 'fail          answers exact' '  1 of 40 questions differ: q7 ' 'pass          tokens exact' 'inconclusive  vision_ms most_ratio 1000' \
    "measured on different machines: 'cpu: another' and 'cpu: "

# ---- history and bisection ----------------------------------------------------------------------------------------------------

# Stores of later builds, of which the last two have a threshold set too low under the old name.
later() # STORE FROM DAY BUILD
{
    cp "$2" "$1"
    query "$1" "UPDATE cell SET label = 'dyntok threshold=0.6', digest = '$4' || substr(digest, 5), build_digest = '$4' || substr(build_digest, 5);
                UPDATE run SET revision = '$4$4', build_digest = (SELECT build_digest FROM cell); UPDATE answer SET answered_at = '$3T00:00:00Z'"
}
later good main 2100-01-01 aaaa
later bad low 2100-01-02 bbbb
later worse low 2100-01-03 cccc
cp main history
assert_status 0 merge history good bad worse
query history "SELECT label, frames, started_at FROM cell_history" >found
assert_equal 'revisions of one point' 4 "$(wc -l <found)"
assert_status 1 gate history accuracy.yaml --bisect
assert_contains out 'the first that fails; the last that passes is 2100-01-01, revision aaaaaaaa' \
    'dyntok threshold=0.6@2: 2100-01-02, revision bbbbbbbb, cell bbbb' 'program'
assert_equal 'verdicts of the bisection' 'pass fail fail ' "$(sed -n 's/^2100.* \(pass\|fail\)  *accuracy.*/\1/p' out | tr '\n' ' ')"
assert_status 1 gate history accuracy.yaml --bisect --baseline main --format csv
assert_equal 'revisions against a store' 5 "$(wc -l <out)"
assert_status 0 gate history accuracy.yaml --baseline previous # what the revision before had lost is not lost again
assert_contains out '0 lost and 0 won'
assert_status 1 gate history accuracy.yaml --baseline aaaaaaaa
assert_contains out 'dyntok threshold=0.6@2, 2100-01-01, revision aaaaaaaa'
assert_status 0 gate history gate.yaml --cell aaaa
assert_status 0 plot history history --out history.svg
assert_contains history.dat 2100-01-03 bbbbbbbb

# ---- reports ------------------------------------------------------------------------------------------------------------------

json() # FILE EXPRESSION
{
    sqlite3 -batch -noheader :memory: "SELECT $2 FROM (SELECT readfile('$1') AS file)" || fail "$1: $2"
}

sed 's/^name: .*/name: "<odd> \&"/' gate.yaml >'odd & name.yaml'
GITHUB_STEP_SUMMARY=$PWD/summary.md assert_status 1 gate low 'odd & name.yaml' accuracy.yaml --cell "$low" --baseline expected.csv --github \
    --write junit=gate.xml --write benchmark-bigger=bigger.json --write benchmark-smaller=smaller.json --write bencher=bencher.json \
    --write md=gate.md --write csv=gate.csv --write json=gate.json
assert_contains gate.xml '<testsuites name="toksweep gate" tests="10" ' '<testsuite name="odd &amp; name.yaml" tests="9" ' 'skipped="0"' \
    'classname="&lt;odd&gt; &amp;"' '<failure type="fail" message="' "name=\"$low@2: tokens least 1 most 500\"" '<error type="incomplete" message="'
assert_equal 'test cases' 10 "$(grep -c '<testcase ' gate.xml)"
assert_contains out "::error file=odd & name.yaml,line=5,title=$low@2%3A accuracy margin 10 fail::" ' %25 against 100.0 %25, ' \
    '::warning file=odd & name.yaml,line=10,title='
assert_contains summary.md '### toksweep gate: fail (' "| fail       | $low@2 | accuracy margin 10 "
assert_same_file 'Markdown' gate.md summary.md
assert_equal 'benchmark-bigger' "$low@2: accuracy|%|1|± " \
    "$(json bigger.json "file ->> '\$[0].name' || '|' || (file ->> '\$[0].unit') || '|' || (json_extract(file, '\$[0].value') BETWEEN 1 AND 99) || '|' || substr(file ->> '\$[0].range', 1, 2)")"
assert_equal 'a number with two bounds, once' 1 "$(sqlite3 :memory: "SELECT count(*) FROM json_each(readfile('smaller.json')) WHERE value ->> 'name' = '$low@2: tokens'")"
assert_equal 'bencher' 1 "$(json bencher.json "json_extract(file, '\$.\"$low@2\".accuracy.lower_value') < json_extract(file, '\$.\"$low@2\".accuracy.value')")"
assert_equal 'gate.json' 10 "$(json gate.json 'json_array_length(file)')"
assert_equal 'gate.csv' 11 "$(wc -l <gate.csv)"
for format in terminal md csv json junit benchmark-bigger benchmark-smaller bencher; do
    assert_status 1 gate low accuracy.yaml --cell "$low" --baseline expected.csv --format $format
    [ -s out ] || fail "--format $format prints nothing"
done

# ---- mistakes -----------------------------------------------------------------------------------------------------------------

refuses_gate() # 'PART|PART|...' GATE
{
    printf 'cells: x\ngates:\n  - %s\n' "$2" >wrong.yaml
    assert_error 2 "$1" gate main wrong.yaml
}
refuses_gate "wrong.yaml:3:|no metric 'acuracy'; did you mean 'accuracy'?" '{ metric: acuracy }'
refuses_gate "wrong.yaml:3:|unknown key 'margn' in a gate; did you mean 'margin'?" '{ metric: accuracy, margn: 2 }'
refuses_gate 'a gate on accuracy needs a bound: margin' '{ metric: accuracy }'
refuses_gate 'accuracy cannot be bounded so; its bounds are margin' '{ metric: accuracy, most: 3 }'
refuses_gate 'bounds of several kinds; make it several gates' '{ metric: tokens, exact: true, most: 3 }'
refuses_gate "'margin' should be points of accuracy above 0" '{ metric: accuracy, margin: 0 }'
refuses_gate "'alpha' should be a share above 0, at most 0.49" '{ metric: accuracy, margin: 2, alpha: 5 }'
refuses_gate "'alpha' goes with 'margin'" '{ metric: answers, alpha: 0.05 }'
refuses_gate 'the least that this gate allows is more than the most' '{ metric: tokens, least: 3, most: 2 }'
refuses_gate "this gate has no 'metric'" '{ margin: 2 }'
refuses_gate "no cell of store 'main' is called 'x'" '{ metric: answers }'
echo 'gates: [{ metric: answers }]' >wrong.yaml
assert_error 2 "wrong.yaml:|needs 'cells'" gate main wrong.yaml
assert_error 2 "no file, revision or cell for baseline 'nothing'" gate main gate.yaml --baseline nothing
assert_error 2 '--write should be FORMAT=FILE' gate main gate.yaml --write junit
assert_error 2 '--write should name one of terminal, md|bencher' gate main gate.yaml --write xml=file
assert_error 2 '--bisect prints a table' gate history gate.yaml --bisect --write junit=x.xml
assert_error 3 "cannot write '/dev/full/x'" gate rerun gate.yaml --write junit=/dev/full/x
sed '3s/q2/q77777/' expected.csv >wrong.csv
assert_error 3 "wrong.csv:3: 'sample' should be a question of the cell's manifest, it is 'q77777'" gate main gate.yaml --baseline wrong.csv
sed '3s/,ok,/,fine,/' expected.csv >wrong.csv
assert_error 3 "wrong.csv:3: 'status' should be a status such as ok, it is 'fine'" gate main gate.yaml --baseline wrong.csv
sed 1s/margin/edge/ expected.csv >wrong.csv
assert_error 3 "'wrong.csv' has no column 'margin'" gate main gate.yaml --baseline wrong.csv
