# Cells out to other programs' files, logs of lmms-eval in, and replies under other profiles.
. "$(dirname "$0")/lib.sh"

logs=$source/tests/fixtures/lmms/logs
model_name=lmms-lab/LLaVA-Video-7B-Qwen2

log_of() # RELEASE TASK: the recorded log
{
    ls "$logs/$1"/*/*_samples_"$2".jsonl "$logs/$1"/*/"$2".json 2>/dev/null | head -n 1
}

# The manifest that the recorded logs were made with: release 0.3.4 wrote the rows into its logs.
manifest_of() # TASK FILE
{
    sqlite3 -batch -noheader :memory: "SELECT json_group_array(json_extract(value, '\$.doc'))
        FROM json_each('[' || replace(rtrim(readfile('$(log_of lmms-0.3.4 "$1")'), char(10)), char(10), ',') || ']')" >"$2" || fail "$1"
}

results_of() # LOG: the results file beside it
{
    ls "$(dirname "$1")"/*results.json
}

number_of() # RESULTS LOG: the number of the log's task, as many digits as agree between SQLite and Python
{
    local task=${2##*/}
    sqlite3 -batch -noheader :memory: "SELECT printf('%.9f', value)
        FROM json_each(readfile('$1'), '\$.results.${task%.json*}') WHERE key LIKE '%,none' AND type IN ('real', 'integer') LIMIT 1"
}

import() # BENCHMARK MANIFEST PROFILE LOG...
{
    assert_status 0 import "${@:4}" --store store --benchmark "$1" --manifest "$2" --profile "$3" --model $model_name --frames 64
}

cell_of() # BENCHMARK PROFILE: the beginning of its digest
{
    query store "SELECT substr(digest, 1, 16) FROM cell_accuracy WHERE benchmark = '$1' AND profile = '$2'"
}

dump() # STORE
{
    sqlite3 -batch "$1" .dump || fail "dump of $1"
}

# ---- in and out: every benchmark, every release -----------------------------------------------------------------------------

for benchmark in videomme mlvu_dev mvbench longvideobench_val_v nextqa_mc_test perceptiontest_val_mc; do
    task=$benchmark manifest=$benchmark.json
    [ $benchmark = mvbench ] && task=mvbench_action_antonym manifest=action_antonym.json
    manifest_of $task $manifest
    for profile in lmms-0.2.3 lmms-0.3.0 lmms-0.3.4 lmms-head; do
        log=$(log_of $profile $task)
        [ -n "$log" ] || log=$(log_of $profile mlvu)
        import $benchmark $manifest $profile "$log"
        assert_contains err '6 of 6 questions are in the log, 6 answers are new to the store' \
            "profile $profile agrees with the log's own scores on all 6 replies"
        grep -q 'prompts' err && fail "$benchmark, $profile: $(cat err)"
        assert_contains out imported
        assert_status 0 export store lmms-eval-results --cell "$(cell_of $benchmark $profile)" --out -
        mv out results.json
        assert_equal "$benchmark, $profile: number of the results file" "$(number_of "$(results_of "$log")" "${log##*_samples_}")" \
            "$(number_of results.json $task.jsonl)"
    done
    assert_status 0 export store lmms-eval-samples --cell "$(cell_of $benchmark lmms-head)" --out out.jsonl
    assert_contains err 'out.jsonl' "6 replies of cell 'imported', of 6 questions; 0 answers are failures"
    # LongVideoBench has drawn one letter.
    sed '/"filtered_resps": ""/s/"parsed_pred": "[A-E]"/"parsed_pred": ""/' "$(log_of lmms-head $task)" >expected.jsonl
    assert_same_file "$benchmark: a log in and out" expected.jsonl out.jsonl
done
assert_intact store
assert_query store 24 'SELECT count(*) FROM cell'
assert_query store "import|done|$model_name" 'SELECT DISTINCT sweep_name, outcome, model.name FROM run, model'
assert_query store '|||' "SELECT DISTINCT tokens_before, ratio, tokens_generated, vision_alone_ms FROM cell_accuracy"
assert_query store 'imported|imported|64' "SELECT DISTINCT compressor, runner, frames FROM cell"
assert_query store 'llava_vid' "SELECT DISTINCT prompt_form FROM cell_accuracy WHERE benchmark = 'videomme' AND profile <> 'lmms-0.2.3'"

# Again adds nothing; two runs of one log are one cell, another profile another.
dump store >before
import videomme videomme.json lmms-head "$(log_of lmms-head videomme)"
assert_contains err '0 answers are new to the store'
dump store >after
assert_same_file 'the store after the same import' before after
import videomme videomme.json toksweep "$(log_of lmms-head videomme)"
assert_query store 2 "SELECT count(*) FROM cell_accuracy WHERE params = (SELECT params FROM cell WHERE profile = 'toksweep') AND benchmark = 'videomme'"

# Half a log, in any order; the rest may come later, as another log.
{ sed -n 4p "$(log_of lmms-head videomme)" && sed -n 2p "$(log_of lmms-head videomme)"; } >half.jsonl
assert_status 0 import half.jsonl --store half --benchmark videomme --manifest videomme.json --model m --label half
assert_contains err '2 of 6 questions are in the log'
assert_query half '1|3' 'SELECT min(manifest_row), max(manifest_row) FROM answer JOIN sample ON sample.id = sample_id'
assert_query half '6|2' 'SELECT n_samples, n_answered FROM cell_accuracy WHERE label = "half"'

# Prompts that this program would not make are kept.
sed 's/"input": "/"input": "My own: /' half.jsonl >own.jsonl
assert_status 0 import own.jsonl --store half --benchmark videomme --manifest videomme.json --model m --label own --profile lmms-head
assert_contains err 'the prompts of the log are not those that profile lmms-head makes of the manifest'
assert_status 0 export half lmms-eval-samples --cell own --out -
sort own.jsonl >expected
sort out >found
assert_same_file 'a log with prompts of its own' expected found

# Prompts that depend on more than the manifest are kept, and nothing is said of them.
for benchmark in videomme_w_subtitle longvideobench_val_i; do
    printf '{"doc_id": 0, "filtered_resps": "A", "input": "subtitles of %s"}\n' $benchmark >s_samples_$benchmark.jsonl
    assert_status 0 import s_samples_$benchmark.jsonl --store subtitles --benchmark $benchmark --model m --profile lmms-head \
        --manifest "$source/tests/fixtures/lmms/manifests/$benchmark.parquet" --subtitles "$source/tests/fixtures/lmms/subtitles" --label $benchmark
    grep -q prompts err && fail "prompts of $benchmark: $(cat err)"
    assert_status 0 export subtitles lmms-eval-samples --cell $benchmark --out -
    assert_contains out "\"input\": \"subtitles of $benchmark\""
done

# What lmms-eval says of a video that it cannot read is no answer.
sed 's/"filtered_resps": "[^"]*"/"filtered_resps": "Video \/data\/A.mp4 can not load, check the source"/' half.jsonl >unread.jsonl
assert_status 0 import unread.jsonl --store unread --benchmark videomme --manifest videomme.json --model m
assert_query unread 'decode_failed|2' 'SELECT status, count(*) FROM answer GROUP BY status'
assert_error 3 "cell 'imported' has no reply to export" export unread lmms-eval-samples --out -

# ---- what is no log of this manifest ----------------------------------------------------------------------------------------

dump store >before
refuses() # STATUS 'PART|...' LOG...
{
    assert_error "$1" "$2" import "${@:3}" --store store --benchmark videomme --manifest videomme.json --model m --profile lmms-head
    dump store >after
    assert_same_file "the store after importing ${*:3}" before after
}

log=$(log_of lmms-head videomme)
head -c 2000 "$log" >cut.jsonl
refuses 3 "'cut.jsonl', line |not valid JSON|was the file cut short?" cut.jsonl
sed 's/"doc_id": 2/"doc_id": "2"/' "$log" >bad.jsonl
refuses 3 "'bad.jsonl', line 3: 'doc_id' should be a row's number" bad.jsonl
sed 's/"doc_id": 2/"doc_id": 77/' "$log" >bad.jsonl
refuses 3 "'bad.jsonl', line 3: doc_id 77 is no row of 'videomme.json'; give the manifest that the log was made with" bad.jsonl
sed 's/"doc_id": 2/"doc_id": 1/' "$log" >bad.jsonl
refuses 3 "'bad.jsonl', line 3: doc_id 1 is answered by line 2 of 'bad.jsonl' already" bad.jsonl
refuses 3 "doc_id 0 is answered by line 1 of '$log' already; import logs of one run" "$log" "$log"
sed '3s/"target": "C"/"target": "D"/' "$log" >bad.jsonl
refuses 3 "'bad.jsonl', line 3: the target is 'D', that of question '001-3' is 'C'" bad.jsonl
sed 's/"question_id": "001-3"/"question_id": "007-3"/' "$log" >bad.jsonl
refuses 3 "'bad.jsonl', line 3: row 2 is '007-3' in the log and '001-3' in the manifest" bad.jsonl
{ head -n 5 "$log" && printf '{"doc_id": 5, "filtered_resps": "' && head -c 10000000 /dev/zero | tr '\0' x && printf '"}\n'; } >bad.jsonl
refuses 3 "'bad.jsonl', line 6: the line has 100000|more than the 8388608 that are accepted" bad.jsonl
{ cat "$log" && head -c 70000 /dev/zero | tr '\0' '['; } >bad.jsonl
refuses 3 "'bad.jsonl', line 7|not valid JSON" bad.jsonl
: >bad.jsonl
refuses 3 "'bad.jsonl' holds no question" bad.jsonl
refuses 3 "is a log of task 'mlvu_dev', which is none of videomme" "$(log_of lmms-head mlvu_dev)"
refuses 3 "cannot open 'nowhere.jsonl'" nowhere.jsonl
refuses 3 "is not a file" "$logs"
assert_error 2 '--benchmark is missing' import "$log"
assert_error 2 "--manifest is missing: videomme is neither in the Hub's cache nor below HF_HOME" import "$log" --benchmark videomme --model m
assert_error 2 '--model is missing' import "$log" --benchmark videomme --manifest videomme.json
assert_error 2 "no benchmark 'videomm'" import "$log" --benchmark videomm --manifest videomme.json --model m
assert_error 2 "no profile 'x'" import "$log" --benchmark videomme --manifest videomme.json --model m --profile x
assert_error 2 "profile 'lmms-0.3.4' has no mlvu_test" import "$log" --benchmark mlvu_test --manifest videomme.json --model m --profile lmms-0.3.4
assert_error 2 '--sampling should be uniform, 1fps or centre' import "$log" --benchmark videomme --manifest videomme.json --model m --sampling x
[ -e results.sqlite ] && fail 'a refused import made a store'

# ---- out: runs of this program ----------------------------------------------------------------------------------------------

cat >mock.yaml <<SWEEP
name: mock
model: mock/model
runner: {name: mock}
profile: lmms-head
axes:
  benchmark:
    - {name: videomme, manifest: $source/tests/fixtures/lmms/manifests/videomme.parquet, videos: .}
    - {name: mvbench, manifest: $source/tests/fixtures/lmms/manifests/mvbench, videos: .}
  frames: 4
  compressor: none
SWEEP
assert_status 0 run mock.yaml --store mock
videomme=$(query mock "SELECT digest FROM cell_accuracy WHERE benchmark = 'videomme'")
mvbench=$(query mock "SELECT digest FROM cell_accuracy WHERE benchmark = 'mvbench'")
assert_error 2 "2 cells of store 'mock' may be meant: give LABEL@FRAMES or the beginning of a digest" export mock lmms-eval-samples --out x
assert_error 2 "no cell of store 'mock' is called 'some'; give a label, LABEL@FRAMES or the beginning of a digest" export mock lmms-eval-samples --cell some --out x
assert_error 2 "no format 'xlsx'; there are lmms-eval-samples, lmms-eval-results, vlmevalkit-tsv" export mock xlsx --out x
assert_error 2 'vlmevalkit-tsv is for cells of videomme' export mock vlmevalkit-tsv --cell "$mvbench" --out x
assert_error 2 '--out is missing' export mock lmms-eval-samples --cell "$videomme"
assert_error 2 "several lmms-eval tasks|name a folder with --out FOLDER/" export mock lmms-eval-samples --cell "$mvbench" --out one.jsonl
assert_error 3 "cannot write 'no/such/folder/x'" export mock lmms-eval-samples --cell "$videomme" --out no/such/folder/x
assert_error 3 "cannot make 'no/such/'" export mock lmms-eval-samples --cell "$videomme" --out no/such/
[ -e x ] || [ -e one.jsonl ] && fail 'a refused export left a file'

for format in lmms-eval-samples lmms-eval-results; do
    assert_status 0 export mock $format --cell "$mvbench" --out files/
    assert_status 0 export mock $format --cell "$videomme" --out more/
done
assert_equal 'logs of MVBench' 20 "$(ls files/*_samples_mvbench_*.jsonl | wc -l)"
lines=$(cat files/*_samples_*.jsonl | wc -l)
assert_query mock "$lines" "SELECT n_answered FROM cell_accuracy WHERE benchmark = 'mvbench'"
assert_equal 'tasks of the results file' 20 "$(sqlite3 -batch -noheader :memory: "SELECT count(*)
    FROM json_each(readfile('$(ls files/*_results.json)'), '\$.results') WHERE json_extract(value, '\$.\"mvbench_accuracy,none\"') IS NOT NULL")"
assert_contains files/*_results.json '"mvbench": [' '"alias": " - mvbench_action_count"'
# What went out comes in again as it was.
assert_status 0 import files/*_samples_*.jsonl --store again --benchmark mvbench --manifest "$source/tests/fixtures/lmms/manifests/mvbench" \
    --model mock/model --profile lmms-head
assert_contains err "$lines of $lines questions are in the log" "agrees with the log's own scores on all"
assert_status 0 export again lmms-eval-samples --out round/
for file in files/*_samples_*.jsonl; do
    assert_same_file "$file in and out" "$file" round/*"${file#*_samples}"
done
assert_equal 'replies' "$(query mock "SELECT group_concat(raw) FROM (SELECT raw FROM answer JOIN cell ON cell.id = cell_id
    JOIN sample ON sample.id = sample_id WHERE cell.digest = '$mvbench' ORDER BY sample.name)")" \
    "$(query again 'SELECT group_concat(raw) FROM (SELECT raw FROM answer JOIN sample ON sample.id = sample_id ORDER BY sample.name)')"

for format in vlmevalkit-tsv vlmevalkit-rating videomme-leaderboard; do
    assert_status 0 export mock $format --cell "$videomme" --out more
done
assert_contains more/mock__model_Video-MME_score.tsv '"index"	"video"	"video_path"' '"0"	"v000000000_"	"./video/v000000000_.mp4"	"short"	"Knowledge"'
assert_contains more/mock__model_Video-MME_rating.json "\"overall\": \"$(query mock "SELECT printf('%.3f', accuracy) FROM cell_accuracy WHERE benchmark = 'videomme'")\""
assert_status 3 check manifest videomme more/mock__model_videomme.json --videos .
assert_contains err '20 samples'

# ---- replies under another profile ------------------------------------------------------------------------------------------

dump store >before
assert_status 0 rescore store --profile lmms-0.3.4 --cell "$(cell_of mlvu_dev lmms-head)"
assert_contains err "'imported' (mlvu_dev, 64 frames): 3 of 6 replies are right under lmms-head, 2 under lmms-0.3.4; 2 have another letter, 1 are worth"
assert_contains out 'mlvu_dev       64  imported  Q3      D       none  D       right   wrong     The best answer is: D'
assert_query store 'lmms-head|lmms-0.3.4|2|6|2' 'SELECT own_profile, profile, n_correct, n, n_flipped FROM rescored_accuracy'
assert_query store 'lmms-head|3' "SELECT profile, n_correct FROM cell_accuracy WHERE digest GLOB '$(cell_of mlvu_dev lmms-head)*'"
assert_status 0 rescore store --profile lmms-0.3.4 --cell "$(cell_of mlvu_dev lmms-head)" --format json
assert_equal 'flips as JSON' '["Q0","Q3"]' "$(sqlite3 -batch -noheader :memory: "SELECT json_group_array(json_extract(value, '\$.sample')) FROM json_each(readfile('out'))")"
# And back: nothing changes, neither in answers nor elsewhere.
assert_status 0 rescore store --profile lmms-head --cell "$(cell_of mlvu_dev lmms-head)"
assert_contains err '3 of 6 replies are right under lmms-head, 3 under lmms-head; 0 have another letter, 0 are worth'
[ -s out ] && fail "flips under the cell's own profile: $(cat out)"
dump store | grep -vE '^INSERT INTO (rescoring|score) ' >after
assert_same_file 'the store after scoring there and back' before after
# All cells, through all profiles, and back to their own.
for profile in toksweep official lmms-0.2.3 lmms-0.3.0 lmms-0.3.4 lmms-head; do
    assert_status 0 rescore store --profile $profile
    grep -F "under $profile, " err | grep -vF '; 0 have another letter' && fail "cells of profile $profile under it: $(cat err)"
done
dump store | grep -vE '^INSERT INTO (rescoring|score) ' >after
assert_same_file 'the store after all profiles' before after
assert_intact store
assert_error 2 '--profile is missing' rescore store
assert_error 2 "no profile 'x'" rescore store --profile x
assert_error 2 '--format should be terminal' rescore store --profile toksweep --format x
assert_error 2 "no cell of store 'store' is called 'x'" rescore store --profile toksweep --cell x
assert_error 3 "cannot open 'nowhere'" rescore nowhere --profile toksweep
[ -e nowhere ] && fail 'rescore made a store'
exit 0
