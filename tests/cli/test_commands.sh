# Every command does what its help says: results on stdout, talk on stderr, and the status that the help promises.
. "$(dirname "$0")/lib.sh"

assert_json() # FILE
{
    assert_equal "$1 is JSON" 1 "$(sqlite3 :memory: "SELECT json_valid(readfile('$1'))")"
}

json() # FILE EXPRESSION [CONDITION], over the `value`s of a list
{
    sqlite3 -batch -noheader :memory: "SELECT $2 FROM json_each(readfile('$1')) WHERE ${3:-1}" || fail "$1: $2"
}

# ---- help -------------------------------------------------------------------------------------------------------------------

assert_status 2
assert_contains err 'usage: toksweep COMMAND'
assert_status 0 help
assert_contains out 'usage: toksweep COMMAND' 'Exit status: 0 done, 1 gate failed, 2 usage, 3 run failed, 4 gate inconclusive.'
commands=$(sed -n 's/^  \([a-z]*\) .*/\1/p' out)
for command in run plan report plot check list bench; do
    [[ " $(echo $commands) " == *" $command "* ]] || fail "the help lacks $command: $(cat out)"
done
assert_status 0 --help
for command in $commands; do
    assert_status 0 help "$command"
    assert_contains out "usage: toksweep $command [OPTIONS]"
    cp out by_name
    assert_status 0 "$command" --help
    assert_same_file "help of $command" by_name out
    assert_error 2 "'$command' has no option --no-such-thing|'toksweep help $command'" "$command" --no-such-thing
    for option in $(sed -n 's/^  --\([a-z-]*\) [A-Z].*/\1/p' by_name); do
        assert_error 2 "--$option needs a value" "$command" "--$option"
    done
done
assert_error 2 "no command 'rum'; did you mean 'run'?|'toksweep help'" rum
assert_error 2 "an operand is missing; usage: toksweep run [OPTIONS] SWEEP.yaml" run
assert_error 2 "'b' is one operand too many; usage: toksweep plan [OPTIONS] SWEEP.yaml" plan a b
assert_error 2 '--limit is given twice' run a --limit 1 --limit 2
assert_status 0 version
grep -qE '^toksweep [0-9.]+, revision [^ ]+, sources [0-9a-f]{12}$' out || fail "version: $(cat out)"

# ---- list -------------------------------------------------------------------------------------------------------------------

for what in compressors benchmarks profiles runners devices figures formats axes metrics; do
    assert_status 0 list $what
    [ -s out ] || fail "list $what is empty"
    cp out list.$what
done
assert_contains list.compressors 'none: ' 'dyntok: ' 'arXiv 2506.03990' '    threshold          -2..2 (0.6)' 'target_ratio       0.01..1 (unset)'
assert_contains list.benchmarks videomme mvbench
assert_contains list.profiles toksweep lmms-0.3.4
assert_contains list.runners native mock
assert_contains list.devices cpu 'isa ref            runs here' cuda
assert_contains list.figures ratio-accuracy threshold
assert_contains list.formats lmms-eval-samples mlvu-leaderboard
assert_contains list.metrics 'accuracy ' 'in % (margin)' 'total_ms '
assert_contains list.axes benchmark frames compressor sampling pooling newline
assert_error 2 "nothing to list by the name 'colours'; there are compressors" list colours
"$toksweep" list compressors >/dev/full 2>err
assert_equal 'status on a full standard output' 3 $?
assert_contains err 'error: cannot write to standard output'
mkfifo pipe
: <pipe & # reads nothing
exec 3>pipe
wait $!
"$toksweep" list compressors >&3 2>err
assert_equal 'status when the reader has left' 3 $?
assert_equal 'words when the reader has left' '' "$(cat err)"
exec 3>&-

# ---- plan -------------------------------------------------------------------------------------------------------------------

# Neither model nor videos are here: the published shape and counts are.
assert_status 0 plan "$source/configs/sweeps/dyntok-figure3.yaml" --threads 1
assert_contains out 'sweep dyntok-figure3: 10 cells, profile lmms-0.3.4' 'not here; its published shape is used' \
    'videomme: 900 videos, 2700 questions (published counts; the manifest is not here)'
assert_equal 'tokens of a full sample in each cell' 10 "$(grep -c '^videomme  *96  .*  20160  ' out)"
expected() # CELL TOKENS SHARE
{
    grep -qE "^videomme +96 +$1 +20160 +$2 +$3 " out || fail "no '$1' with $2 tokens, $3 %, in: $(cat out)"
}
expected none 20160 100.0
expected 'dyntok threshold=0.4' 4032 20.0
expected 'dyntok threshold=0.6' 8951 44.4
expected 'dyntok target_ratio=0.3' 6048 30.0
total() # NAME SHARED ALONE SAVED
{
    grep -qE "^$1 +$2 +$3 +$4\$" out || fail "no '$1' of $2 and $3 in: $(cat out)"
}
total 'videos opened' 900 27000 30.0x
total 'frames decoded' 86400 2592000 30.0x # 900 videos of 96; ten cells and three questions alone
total 'frames encoded' 86400 2592000 30.0x
total 'visual tokens prefilled' 74263[0-9]{3} 222790[0-9]{3} 3.0x # the questions of a video share their prefix
total 'prefill TFLOP' '[0-9.]+' '[0-9.]+' 2.9x
assert_contains out 'memory, bf16: 15320 MiB of weights' 'of features' 'time: 70 %'

write_manifest manifest.json 2 demo-1 demo-2 demo-3 demo-4 demo-5 demo-6
write_sweep sweep.yaml '[3, 4]' f32 <<<'
    - none
    - {name: dyntok, threshold: [0.4, 0.6]}'
assert_status 0 plan sweep.yaml --threads 1
assert_contains out 'sweep sweep: 6 cells' 'videomme: 6 videos, 12 questions' 'memory, f32: 1 MiB of weights'
total 'videos opened' 6 72 12.0x
total 'frames encoded' 30 252 8.4x # five distinct frames; 3 x (3 + 4) for each of 12 questions
assert_status 0 plan sweep.yaml --threads 1 --set axes.frames=4 --dtype bf16
assert_contains out 'sweep sweep: 3 cells' 'memory, bf16'
assert_error 2 "no model 'nobody/nothing'|nor in the Hub cache" plan sweep.yaml --set model=nobody/nothing
[ ! -s out ] || fail "a plan that failed printed: $(cat out)"

for mock in 'runner=mock' 'runner={name: mock}'; do # needs no model, and says nothing about one
    sed '/^model:/d' sweep.yaml >mock.yaml
    assert_status 0 plan mock.yaml --set "$mock"
    assert_contains out 'sweep sweep: 6 cells' '72 answers; runner mock opens no model'
    assert_equal 'cells of 12 answers' 6 "$(grep -c '^videomme .*  12$' out)"
    [ ! -s err ] || fail "a plan with the mock runner said: $(cat err)"
done
assert_error 2 "mock.yaml:|the sweep has no 'model'; give a checkpoint folder or a Hub id" plan mock.yaml --set runner=native
[ -z "$(find . -newer mock.yaml -name 'results*')" ] || fail "a plan made a store"

# ---- run --------------------------------------------------------------------------------------------------------------------

samples_of() # STORE
{
    query "$1" 'SELECT DISTINCT sample.name FROM answer JOIN sample ON sample.id = sample_id ORDER BY manifest_row'
}

mock_run() # STORE ARGUMENT...
{
    local store=$1
    shift
    assert_status 0 run sweep.yaml --set runner=mock --store "$store" "$@"
    samples_of "$store" >"$store.samples"
}

mock_run all
assert_equal 'samples of a whole run' 12 "$(wc -l <all.samples)"
assert_contains err '6 cells, 6 videos, 72 answers to compute, 0 in the store' 'computed 72 answers'
cp out all.table
mock_run all
assert_same_file 'the table of a run with nothing to do' all.table out
[ ! -s err ] || fail "a run with nothing to do said: $(cat err)"
assert_query all 1 'SELECT count(*) FROM run'
assert_status 0 report all
assert_same_file 'the table of run and report' all.table out

mock_run few --limit 3
assert_equal '--limit 3' 'demo-1-1 demo-1-2 demo-2-1' "$(echo $(<few.samples))"
TOKSWEEP_LIMIT=4 mock_run few
assert_equal 'TOKSWEEP_LIMIT=4' 'demo-1-1 demo-1-2 demo-2-1 demo-2-2' "$(echo $(<few.samples))"
mock_run two --samples demo-5-2 --samples demo-2-1
assert_equal '--samples' 'demo-2-1 demo-5-2' "$(echo $(<two.samples))"
mock_run alone --no-share --jobs 2
assert_contains err '72 questions'
assert_equal 'answers with and without sharing' "$(dump_answers all)" "$(dump_answers alone)"

for shard in 1 2 3 4; do
    mock_run shard.$shard --shard $shard/4
    [ -s shard.$shard.samples ] || fail "shard $shard of 4 is empty"
    sed 's/-[0-9]*$//' shard.$shard.samples | sort -u >shard.$shard.videos
done
cat shard.?.samples | sort >shards.samples
sort all.samples >sorted.samples
assert_same_file 'the samples of all shards, each once' sorted.samples shards.samples
assert_equal 'videos in two shards' '' "$(cat shard.?.videos | sort | uniq -d)"
for shard in 2 1; do
    mock_run halves --shard $shard/2
done
assert_equal 'two halves in one store' "$(dump_answers all)" "$(dump_answers halves)"

# A build's cells are continued by its digest.
mock_run few --reuse-build "$(query few 'SELECT DISTINCT substr(build_digest, 1, 8) FROM cell')" --limit 5
assert_equal 'cells of a build that is continued' 6 "$(query few 'SELECT count(*) FROM cell')"
assert_equal 'samples of a build that is continued' 5 "$(wc -l <few.samples)"

# Videos that come late: failed answers stay until they are asked for again.
mkdir videos
cp "$clips"/demo-[1-4].mp4 videos/
native_run() # ARGUMENT...
{
    assert_status 0 run sweep.yaml --store native "$@"
    assert_intact native
}
native_run --set axes.benchmark.videos=videos
assert_contains err 'computed 72 answers' '24 of them failed: 24 missing_video; --retry-failed computes them again' \
    "is missing_video: no video 'demo-5'"
cp "$clips"/demo-[56].mp4 videos/
native_run --set axes.benchmark.videos=videos
assert_query native 24 'SELECT count(*) FROM answer WHERE failed'
native_run --set axes.benchmark.videos=videos --retry-failed
assert_contains err '24 answers to compute, 48 in the store' '0 of them failed'
assert_query native '72|0' 'SELECT count(*), sum(failed) FROM answer'
cp out native.table
assert_status 0 run sweep.yaml --store whole
assert_equal 'answers that were tried again' "$(dump_answers whole)" "$(dump_answers native)"

# ---- report -----------------------------------------------------------------------------------------------------------------

query native 'SELECT benchmark, frames, label, n_correct, n_answered, n_samples FROM cell_accuracy ORDER BY id' >rows.txt
assert_equal 'cells' 6 "$(wc -l <rows.txt)"
assert_status 0 report native
assert_same_file 'the table of run and report' native.table out
assert_contains out 'right/answered/all' 'interval of acc'
for format in terminal md csv json latex; do
    assert_status 0 report native --format $format
    [ ! -s err ] || fail "report --format $format said: $(cat err)"
    cp out report.$format
done
assert_same_file 'the default format' native.table report.terminal

assert_json report.json
json report.json "json_extract(value, '$.benchmark', '$.frames', '$.compressor', '$.correct', '$.answered', '$.samples')" |
    tr -d '["]' | tr , '|' >rows.json
assert_same_file 'JSON' rows.txt rows.json
assert_equal 'types of numbers' real,integer,real "$(json report.json "DISTINCT json_type(value, '$.accuracy') || ',' ||
    json_type(value, '$.frames') || ',' || json_type(value, '$.tokens')")"
sqlite3 imported '.import --csv report.csv report'
assert_query imported "$(<rows.txt)" 'SELECT benchmark, frames, compressor, correct, answered, samples FROM report'
assert_query imported 6 'SELECT count(*) FROM report WHERE abs(accuracy - 1.0 * correct / answered) < 1e-6 AND low <= accuracy
    AND accuracy <= high AND tokens > 0'
assert_equal 'fields of a Markdown row' 13 "$(awk -F'|' '/^\|.*\|$/ {print NF - 1} !/^\|.*\|$/ {print $0}' report.md | sort -u)"
assert_equal 'lines of Markdown' 8 "$(wc -l <report.md)"
assert_equal 'rows of LaTeX' 7 "$(grep -c ' \\\\$' report.latex)"
assert_contains report.latex '\begin{tabular}' '\toprule' 'acc \%' '\bottomrule' '\end{tabular}'

assert_status 0 report native --format json --where "frames = 4 AND compressor = 'dyntok'"
assert_equal 'chosen cells' '4 dyntok threshold=0.4,4 dyntok threshold=0.6' \
    "$(json out "group_concat(json_extract(value, '$.frames') || ' ' || json_extract(value, '$.compressor'))")"
assert_error 2 "'native' holds no such cell|--where chooses" report native --where 'frames = 5'
assert_error 2 "cannot select by 'frams = 4'|no such column: frams|view cell_accuracy" report native --where 'frams = 4'
assert_error 2 "--format should be terminal, md, csv, json or latex, it is 'xml'" report native --format xml
assert_error 2 "holds no such cell with groups by 'video'|--by should be cell, task_type" report native --by video
assert_error 2 'cannot select by' report native --where '1); DROP TABLE answer; --'
assert_intact native

# The words of a manifest come from strangers.
sed '1s/Kind 1/A \\"b\\", c|d \\\\ ~^%_\\n\\u001b[31mred/' manifest.json >strange.json
mock_run strange --set axes.benchmark.manifest=strange.json
for format in terminal md csv json latex; do
    assert_status 0 report strange --by task --format $format
    cp out tasks.$format
done
assert_json tasks.json
type=$'A "b", c|d \\ ~^%_\n\e[31mred'
assert_equal 'a strange task type in JSON' 6 "$(json tasks.json 'count(*)' "json_extract(value, '$.\"task type\"') = '$type'")"
sqlite3 imported '.import --csv tasks.csv tasks'
assert_query imported 6 "SELECT count(*) FROM tasks WHERE \"task type\" = '$type'"
assert_query imported 18 'SELECT count(*) FROM tasks'
for format in terminal md latex; do
    ! grep -q $'\e' tasks.$format || fail "an escape sequence reaches the reader of $format"
done
assert_equal 'lines of Markdown' 20 "$(wc -l <tasks.md)"
assert_equal 'fields of a Markdown row' 8 "$(sed 's/\\|//g' tasks.md | awk -F'|' '{print NF - 1}' | sort -u)"
assert_contains tasks.latex 'A "b", c|d \textbackslash{} \textasciitilde{}\textasciicircum{}\%\_  [31mred &'

# ---- plot -------------------------------------------------------------------------------------------------------------------

assert_svg() # FILE
{
    [ -s "$1" ] || fail "$1 is empty"
    head -5 "$1" | grep -q '<svg' || fail "$1 does not begin as an SVG file"
    tail -3 "$1" | grep -q "</svg>" || fail "$1 does not end as an SVG file"
    assert_equal "groups that are open and closed in $1" "$(grep -o '<g[ >]' "$1" | wc -l)" "$(grep -o '</g>' "$1" | wc -l)"
    if command -v xmllint >/dev/null; then
        xmllint --noout --nonet "$1" 2>message || fail "$1: $(cat message)"
    fi
}

for figure in ratio-accuracy threshold; do
    assert_status 0 plot native $figure
    assert_equal "stdout of plot $figure" '' "$(cat out)"
    assert_equal "stderr of plot $figure" $figure.svg "$(cat err)"
    assert_svg $figure.svg
    [ -s $figure.dat ] && [ -s $figure.gp ] || fail "plot $figure leaves no data or no script"
    cp $figure.svg before.svg
    rm $figure.svg
    gnuplot $figure.gp 2>message || fail "the script of $figure: $(cat message)"
    assert_same_file "$figure, drawn again by its script" before.svg $figure.svg
done
assert_contains threshold.dat 0.4 0.6
assert_status 0 plot native threshold --out other.svg --where 'frames = 3' --title $'It\'s "5 < 6" & \\ {x} `touch pwned` $(touch pwned) | %s'
assert_svg other.svg
[ ! -e pwned ] || fail "a title is run by a shell"
grep -q '5 &lt; 6' other.svg || fail "the title is not in the figure"
assert_status 0 plot native threshold --out other.png
assert_equal 'a PNG file' 'PNG' "$(head -c 4 other.png | tail -c 3)"
assert_status 0 plot native threshold --out other.pdf
assert_equal 'a PDF file' '%PDF' "$(head -c 4 other.pdf)"
assert_error 2 "no figure 'pie'; see 'toksweep list figures'" plot native pie
assert_error 2 "other.txt|.svg, .png or .pdf" plot native threshold --out other.txt
assert_error 3 "nowhere/figure.dat|No such file" plot native threshold --out nowhere/figure.svg
assert_error 2 'nothing to plot' plot native threshold --where 'frames = 5'

# ---- check ------------------------------------------------------------------------------------------------------------------

assert_status 0 check manifest videomme manifest.json --videos "$clips"
assert_contains err 'manifest.json: 12 samples on 6 videos'
assert_contains out 'note   count' 'the published set has 2700'
write_manifest gone.json 2 demo-1 gone
assert_status 3 check manifest videomme gone.json --videos "$clips" --format json
assert_json out
assert_equal 'findings that are errors' 'missing_video gone-1
missing_video gone-2' \
    "$(json out "json_extract(value, '$.kind') || ' ' || json_extract(value, '$.sample')" "json_extract(value, '$.level') = 'error'")"
head -c 200 manifest.json >cut.json
assert_error 3 'cut.json:1:201: not valid JSON' check manifest videomme cut.json

# What it lists can be left out, here and in a sweep; what is left are other cells.
assert_status 3 check manifest videomme gone.json --videos "$clips" --format json
cp out listed.json
assert_status 0 check manifest videomme gone.json --videos "$clips" --exclude listed.json --format csv
assert_contains out 'note,excluded,,'
printf 'junk' >broken.mp4
mkdir -p broken && mv broken.mp4 broken/broken.mp4
write_manifest broken.json 2 broken
assert_status 0 check manifest videomme broken.json --videos broken
assert_status 3 check manifest videomme broken.json --videos broken --decode --format csv
assert_contains out 'error,undecodable_video,broken-1,' 'error,undecodable_video,broken-2,'
assert_error 2 "no benchmark 'vidomme'; did you mean 'videomme'?" check manifest vidomme manifest.json
assert_error 2 'usage: toksweep check manifest BENCHMARK PATH' check manifest manifest.json

assert_status 0 check checkpoint "$model"
assert_contains out 'layout      lmms-lab' '3 layers of width 64' 'newline grid' 'context 32768' 'tokenizer   596 ids'
assert_equal 'digest of the checkpoint' "$(query native 'SELECT digest FROM model')" "$(sed -n 's/^digest  *//p' out)"
mkdir broken
cp "$model"/*.json broken/
head -c 300000 "$model/model.safetensors" >broken/model.safetensors
assert_error 3 "'broken/model.safetensors' is cut short" check checkpoint broken
assert_error 3 "cannot open 'nowhere/config.json'|give the folder of a checkpoint" check checkpoint nowhere

assert_status 0 check videos "$clips"
assert_equal 'videos that are well' 6 "$(grep -c '^demo-[1-6].mp4 .* 320  *240  *0  ok$' out)"
head -c 20000 "$clips/demo-3.mp4" >videos/cut.mp4
assert_status 3 check videos videos --format csv
sqlite3 imported '.import --csv out videos'
assert_query imported '6|cut.mp4' "SELECT sum(verdict = 'ok'), max(iif(verdict = 'ok', '', video)) FROM videos"
assert_status 0 check videos videos/demo-1.mp4
assert_error 3 "cannot open 'nowhere'" check videos nowhere
assert_error 2 "nothing to check by the name 'weather'" check weather

# ---- bench ------------------------------------------------------------------------------------------------------------------

assert_status 0 bench --model "$model" --rows 16 --repeats 3 --threads 1 --video "$clips/demo-1.mp4" --format json
assert_contains err 'GFLOP/s measured'
assert_json out
assert_equal 'stages' 'vision tower and projector,prefill of 16 rows,generation,video: open, decode, resize,video: of that, resize on one thread' \
    "$(json out "group_concat(json_extract(value, '$.figure'))")"
assert_equal 'rates' 5 "$(json out "sum(json_extract(value, '$.rate') > 0 AND json_extract(value, '$.least') <= json_extract(value, '$.seconds')
    AND json_extract(value, '$.seconds') <= json_extract(value, '$.most'))")"
assert_status 0 bench kernels sample --frames 2 --clock processor --model "$model" --rows 8 --repeats 5 --threads 1 --json before.json
assert_status 0 bench kernels harness --model "$model" --rows 8 --repeats 1 --threads 1 --answers 60 --json after.json
assert_contains out 'run of 60 mock answers' 'start: --version'
assert_contains err 'most memory of a run'
assert_equal 'record' 'text text array' "$(sqlite3 :memory: "SELECT json_type(r, '$.machine.cpu') || ' ' || json_type(r, '$.commit') || ' ' ||
    json_type(r, '$.figures[0].seconds') FROM (SELECT CAST(readfile('before.json') AS TEXT) AS r)")"
assert_status 0 bench compare before.json before.json --format json
assert_equal 'same figures' 13 "$(json out "count(*)")"
assert_status 0 bench compare before.json after.json
assert_contains out 'too few repeats' 'B/A is the ratio of rates'
assert_contains err 'only in A: sample, a question on 2 frames' "A and B differ in clock: 'processor' and 'wall'" 'only in B: harness, start: --version'
assert_error 2 "bench has no part 'speed'|kernels, stages, sample, sweep and harness" bench speed
assert_error 2 'bench compare takes two files' bench compare before.json
assert_error 2 "--clock should be wall or processor, it is 'sun'" bench --clock sun
assert_error 2 'which sweep? give its file with --sweep' bench sweep
echo "{}" >other.json
assert_error 3 "is no record of version 1|'toksweep bench --json'" bench compare other.json before.json
assert_error 2 "no shape of model 'nothing'|give a Hub id" bench --model nothing
assert_error 2 "has no f16; use --dtype bf16, or a card (--device cuda)" bench --dtype f16
