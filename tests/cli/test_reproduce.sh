# Papers: what is published beside what came out, from the shipped tables and from one made here.
. "$(dirname "$0")/lib.sh"

# ---- what cannot be run is shown all the same --------------------------------------------------------------------------------

assert_status 0 reproduce dyntok --configs "$source/configs"
assert_contains out 'arXiv 2506.03990' '--table 1' '--table 2' '--figure 3' '--figure 4'
assert_error 2 "no paper 'dintok'|'dyntok', 'dytok', 'tinyworld', 'token-dynamics'" reproduce dintok --configs "$source/configs"
assert_error 2 "'dyntok' has no table 3" reproduce dyntok --configs "$source/configs" --table 3
assert_error 2 'ask for one at a time' reproduce dyntok --configs "$source/configs" --table 1 --figure 3
assert_error 2 '--margin should be points' reproduce dyntok --configs "$source/configs" --table 1 --margin wide

assert_error 2 "no manifest of the benchmarks of sweep 'dyntok-table1-short' is here|--data FOLDER" reproduce dyntok --configs "$source/configs" --table 1
assert_contains out 'not run: a proprietary model' 'not run: unpublished weights' 'not run: mvbench is not here' '68.9 [1]' '56.5 [4]' \
    '[4] LLaVA-OV-7B, MLVU: should be 64.7'
assert_equal 'numbers of Table 1' 59 "$(grep -c 'not run: ' out)"
[ ! -e results.sqlite ] || fail 'a store was made for nothing'

for paper in 'dyntok --figure 3' 'dyntok --figure 4' 'dytok --table 1' 'token-dynamics --table 1'; do
    assert_error 2 'no manifest of the benchmarks' reproduce $paper --configs "$source/configs"
    assert_contains out 'not run: '
done

# Table 2 is made of whole questions, but for two cells.
assert_error 2 'no manifest' reproduce dyntok --configs "$source/configs" --table 2
assert_contains out '95/139 = 68.3' '41/55 = 74.5' '1716 of 2700 right, 63.56 %, as printed; OCR 68.4 should be 68.3 = 95 of 139' \
    '1688 of 2700 right, 62.52 %, as printed' '1728 of 2700 right, 64.00 %, as printed; Temporal perception 74.6 should be 74.5 = 41 of 55' \
    '+12 questions against Baseline' '-28 questions against Baseline'
assert_equal 'cells that are rounded wrongly' 2 "$(grep -c '/[0-9]* = [0-9]' out)"

# ---- a table that is run -----------------------------------------------------------------------------------------------------

mkdir -p configs/paper configs/sweeps
write_manifest configs/sweeps/manifest.json 3 demo-1 demo-2 demo-3
write_sweep configs/sweeps/small.yaml 4 f32 <<<'
    - none
    - {name: dyntok, threshold: [0.5, 0.7]}'
cat >configs/paper/small.yaml <<'END'
paper: small
title: A small paper
source: nowhere
results:
  - figure: 1
    caption: tokens and accuracy
    sweeps: [small]
    draw: [threshold, ratio-accuracy]
    columns:
      - {name: accuracy, benchmark: videomme, frames: 4}
      - {name: kept, benchmark: videomme, frames: 4, measure: ratio}
      - {name: first kind, benchmark: videomme, frames: 4, task: Kind 1}
    rows:
      - {name: theirs, values: [60, ~, 50], not_run: unpublished weights}
      - {name: none, values: [99, 100, ~], compressor: none}
      - {name: half, values: [55, 1, 45], compressor: dyntok threshold=0.5, against: theirs, base: none}
      - {name: elsewhere, values: [50, ~, ~], compressor: none, frames: 5}
END
assert_status 0 reproduce small --figure 1
assert_contains err 'computed 27 answers' small-figure1-threshold.svg small-figure1-ratio-accuracy.svg
assert_contains out 'A small paper (nowhere)' 'not run: unpublished weights' 'not run: the store has no such cell' 'cannot tell: would need' 'lower by'
[ -s small-figure1-threshold.svg ] && [ -s small-figure1-ratio-accuracy.dat ] && [ -s small-figure1-threshold.gp ] || fail "figures: $(ls)"
cp out first

# Again: everything is stored, the same is printed.
assert_status 0 reproduce small --figure 1
grep -q computed err && fail "computed again: $(cat err)"
assert_same_file 'the table of stored answers' first out
assert_status 0 reproduce small --figure 1 --stored
assert_same_file 'the table without a run' first out

assert_status 0 reproduce small --figure 1 --format csv --out f.png
[ "$(head -c 4 f-threshold.png)" = $'\x89PNG' ] || fail 'no PNG'
sqlite3 found '.mode csv' '.import out held'
accuracy="SELECT 100.0 * n_correct / (n_answered - n_failed) FROM cell_accuracy WHERE label"
ours=$(query results.sqlite "$accuracy = 'none'") less=$(query results.sqlite "$accuracy = 'dyntok threshold=0.5'")
assert_query found 1 "SELECT abs(ours - $ours) < 1e-3 FROM held WHERE \"row\" = 'none' AND \"of\" = 'accuracy'"
assert_query found 1 "SELECT abs(ours_change - ($less - $ours)) < 1e-3 AND published_change + 5 = 0 AND low + 0 <= difference + 0 AND difference + 0 <= high + 0
    FROM held WHERE \"row\" = 'half' AND \"of\" = 'accuracy'"
assert_query found 1 "SELECT abs(ours - $(query results.sqlite "SELECT 100 * ratio FROM cell_accuracy WHERE label = 'dyntok threshold=0.5'")) < 1e-3
    FROM held WHERE \"row\" = 'half' AND \"of\" = 'kept'"
assert_query found '9|3' "SELECT questions, videos FROM held WHERE \"row\" = 'none' AND \"of\" = 'accuracy'"
assert_query found '3|3' "SELECT questions, videos FROM held WHERE \"row\" = 'half' AND \"of\" = 'first kind'"
assert_status 0 reproduce small --figure 1 --format latex --out f.svg
assert_contains out '\toprule' '\bottomrule' 'not run: unpublished weights'
assert_status 0 reproduce small --figure 1 --format md --out f.svg
assert_contains out '| theirs' '|---'
assert_status 0 reproduce configs/paper/small.yaml --figure 1 --margin 90 --out f.svg
assert_contains out 'within noise'

# The mock runner answers without a model; a shipped table by way of --set.
assert_status 0 reproduce dyntok --configs "$source/configs" --table 2 --store mock --set runner.name=mock \
    --set "axes.benchmark={name: videomme, manifest: $folder/configs/sweeps/manifest.json}"
assert_query mock '2|18' 'SELECT count(DISTINCT cell_id), count(*) FROM answer'
assert_contains out 'Overall' 'cannot tell: would need' 'no replies to such questions'
