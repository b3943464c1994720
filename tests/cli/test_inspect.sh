# inspect: what it counts is what a run counts, for methods before the language model and in it; pictures come in three formats and do not
# depend on threads or on what else is drawn; mistakes are told.
. "$(dirname "$0")/lib.sh"

write_manifest manifest.json 1 demo-1 demo-4
write_sweep sweep.yaml 4 f32 <<'EOT'
    - none
    - {name: dyntok, threshold: 0.5}
    - {name: random, keep: 0.3}
    - {name: pool, stride: 3}
    - [{name: dytok, guide: self}, {name: dyntok}]
    - {name: fastv, layer: 1, keep: 0.3}
EOT
assert_status 0 run sweep.yaml --store s --jobs 2 --threads 1

# ---- counts -----------------------------------------------------------------------------------------------------------------

value() # LABEL WHAT OF
{
    awk -F, -v label="$1" -v what="$2" -v of="$3" '
        { gsub(/["\r]/, "") }
        index($0, label ",") == 1 && $(NF - 2) == what && $(NF - 1) == of { print $NF }' counts
}

stored() # LABEL EXPRESSION
{
    query s "SELECT printf('%d', $2) FROM cost JOIN answer ON answer.id = answer_id JOIN cell ON cell.id = cell_id
        JOIN sample ON sample.id = sample_id WHERE sample.name = 'demo-4-1' AND label = '$1'"
}

assert_counts() # LABEL
{
    assert_equal "content of $1" "$(stored "$1" tokens_visual)" "$(value "$1" content out)"
    assert_equal "tokens of $1" "$(stored "$1" tokens_visual+tokens_marker)" "$(value "$1" tokens out)"
    assert_equal "tokens before $1" "$(stored "$1" tokens_before)" "$(value "$1" tokens in)"
    local frames
    frames=$(($(for t in 1 2 3 4; do value "$1" frame $t; done | paste -sd+)))
    assert_equal "content of the frames of $1" "$(value "$1" content out)" "$frames"
}

assert_status 0 inspect sweep.yaml --sample demo-4-1 --out sweep.png --format csv
mv out counts
assert_contains err sweep.png
for label in none 'dyntok threshold=0.5' 'random keep=0.3' 'pool stride=3' 'dytok keep=0.25 guide=self + dyntok'; do
    assert_counts "$label"
done
assert_equal 'patches of four frames' $((4 * 27 * 27)) "$(value none unpooled in)"
assert_equal 'content of none that is dropped' 0 "$(value none sources dropped)"
assert_equal 'links of dyntok' $((4 * 14 * 13)) "$(value 'dyntok threshold=0.5' measure links)"
before=$(value 'fastv keep=0.3 layer=1, layer 0' tokens out)
after=$(value 'fastv keep=0.3 layer=1, layers 1 to 2' tokens out)
assert_equal 'tokens that enter before fastv' $((4 * (14 * 14 + 14))) "$before"
assert_equal 'tokens per layer of fastv, times 3' "$(stored 'fastv keep=0.3 layer=1' 'round(3*tokens_mean)')" $((before + 2 * after))

# A video alone is the same as a sample on it.
assert_status 0 inspect "$clips/demo-4.mp4" --model "$model" --frames 4 --dtype f32 --compressor 'dyntok threshold=0.5' \
    --compressor 'random keep=0.3' --format csv --out alone.png
for label in 'dyntok threshold=0.5' 'random keep=0.3'; do
    grep -F "$label" counts >expected
    grep -F "$label" out >found
    assert_same_file "$label of a video alone" expected found
done

# What vanishes from earlier layers too is never seen: one row for all layers.
assert_status 0 inspect "$clips/demo-4.mp4" --model "$model" --frames 4 --compressor 'prunevid inner_past=true' --out past.png
assert_equal 'rows of a method that takes tokens back' 1 "$(grep -c '^prunevid .*layers 0 to 2$' out)"
assert_equal 'rows of it in all' 1 "$(grep -c '^prunevid' out)"

# For people.
assert_status 0 inspect "$clips/demo-4.mp4" --model "$model" --frames 4 --compressor 'vqtoken k=12'
assert_contains out 'vqtoken k=12' 'content     12 of 784, 1.5 %; of 2916 unpooled 0.41 %' 'codes'
[ -s demo-4-tokens.png ] || fail 'no picture of the usual name'

# ---- pictures ---------------------------------------------------------------------------------------------------------------

draw() # FILE OPTION...
{
    local file=$1
    shift
    assert_status 0 inspect "$clips/demo-1.mp4" --model "$model" --out "$file" --width 120 "$@"
}

draw one.svg --compressor 'tome keep=0.3' --show 1,3-4 --threads 1
draw two.svg --compressor 'tome keep=0.3' --show 1,3,4 --threads 2
assert_same_file 'a picture with two threads' one.dat two.dat
cmp -s one.rgb two.rgb || fail 'pixels depend on threads'
assert_contains one.svg '<svg' 'tome keep=0.3' '1: frame 0, 0.00 s' '4: frame 16'
[ "$(grep -c '<image' one.svg)" = 6 ] || fail "three frames and what becomes of them: $(grep -c '<image' one.svg) images"
draw a.pdf --show 1
[ "$(head -c 4 a.pdf)" = %PDF ] || fail 'no PDF'
draw a.png --show all --frames 3
[ "$(head -c 4 a.png | tail -c 3)" = PNG ] || fail 'no PNG'

# Cells that show other frames leave their columns empty.
assert_status 0 inspect sweep.yaml --set axes.frames='[2,4]' --set 'axes.compressor=[none]' --out frames.svg --show all
assert_contains frames.svg 'none, 2 frames' 'none, 4 frames' 'not shown'

# A target ratio of a video alone is its own.
assert_status 0 inspect "$clips/demo-2.mp4" --model "$model" --compressor 'dyntok target_ratio=0.5' --frames 2 --out b.svg
assert_contains err 'threshold'

# ---- mistakes ---------------------------------------------------------------------------------------------------------------

clip=$clips/demo-1.mp4
assert_error 3 "cannot open 'none.mp4'" inspect none.mp4 --model "$model"
assert_error 2 '--model FOLDER' inspect "$clip"
assert_error 2 "no model 'x'" inspect "$clip" --model x
assert_error 2 "--compressor: compressor dyntok has no option 'treshold'|did you mean 'threshold'" inspect "$clip" --model "$model" \
    --compressor 'dyntok treshold=1'
assert_error 2 "--compressor 'threshold=1'|name=value" inspect "$clip" --model "$model" --compressor 'threshold=1'
assert_error 2 "--compressor ''|a name is missing" inspect "$clip" --model "$model" --compressor ''
assert_error 2 'nothing here spends them' inspect "$clip" --model "$model" --compressor 'dytok guide=self'
assert_error 2 '--frames' inspect "$clip" --model "$model" --frames many
assert_error 2 'places from 1 to 8|all' inspect "$clip" --model "$model" --show 9
assert_error 2 "it is '2-1'" inspect "$clip" --model "$model" --show 2-1
assert_error 2 '.svg, .png or .pdf' inspect "$clip" --model "$model" --out a.gif
assert_error 2 'pixels' inspect "$clip" --model "$model" --width 4000 --show all --frames 16
assert_error 2 "--sample does not go with '$clip'" inspect "$clip" --model "$model" --sample a
assert_error 2 '--model does not go with|--set' inspect sweep.yaml --model "$model"
assert_error 2 "a sample 'x'" inspect sweep.yaml --sample x
assert_error 2 'runner mock has no tokens' inspect sweep.yaml --set runner=mock
