# Whole sweeps on a card (the emulated one, whose memory the host cannot reach, or, from tools/check_card.sh, a real one): in f32 the
# processor's answers, to the letter, and its margins but for rounding; the same bits when work is shared, by two workers, and when it is
# not, however many frames go through the tower at once; a card whose memory does not suffice refuses the video before it starts.
. "$(dirname "$0")/../cli/lib.sh"
export EMULATED_APART=1

"$toksweep" list devices | grep -q '^cuda:0 ' || { echo 'skip: no CUDA card'; exit 77; }
card=$("$toksweep" list devices | sed -n 's/^cuda:0  \(.*\), compute .*/\1/p')

answers() # STORE
{
    query "$1" "SELECT cell.label, sample.name, answer.status, quote(raw), tokens_digest, tokens_visual, tokens_marker
                FROM cell JOIN answer ON answer.cell_id = cell.id JOIN sample ON sample.id = answer.sample_id
                JOIN cost ON cost.answer_id = answer.id ORDER BY cell.label, sample.name"
}

greatest_difference() # STORE OTHER: of margins
{
    query "$1" "ATTACH '$2' AS other;
        SELECT max(abs(answer.margin - b.margin)) FROM answer JOIN cell ON answer.cell_id = cell.id JOIN sample ON sample.id = answer.sample_id
        JOIN other.answer b JOIN other.cell c ON b.cell_id = c.id AND c.label = cell.label
        JOIN other.sample s ON s.id = b.sample_id AND s.name = sample.name"
}

write_manifest manifest.json 1 demo-2
write_sweep sweep.yaml '[1]' f32 <<'YAML'
    - none
    - {name: dyntok, threshold: 0.6}
    - [{name: dyntok, similarity: patch_min}, {name: sparsevlm}]
    - {name: fastv, layer: 1, keep: 0.3}
YAML
cells=4

assert_status 0 run sweep.yaml --store host --jobs 1 --threads 1
assert_status 0 run sweep.yaml --store card --jobs 1 --device cuda
assert_intact card
assert_query card $cells "SELECT count(*) FROM answer WHERE NOT failed AND margin IS NOT NULL"
answers host >host.txt
answers card >card.txt
assert_same_file 'answers of the card in f32' host.txt card.txt
assert_equal 'margins of the card in f32 are the processor'\''s' 1 "$(greatest_difference host card | awk '{ print $1 < 1e-3 }')"
assert_query card "cuda:0 $card" "SELECT DISTINCT substr(device, 1, instr(device, ',') - 1) FROM run"
assert_query card 1 "SELECT count(DISTINCT isa) FROM cell WHERE isa LIKE 'cuda-sm%'"

# Where cells share frames, others go through the tower together than where they do not.
write_sweep sweep.yaml '[1, 3]' bf16 <<'YAML'
    - {name: dycoke, p: 0}
YAML
assert_status 0 run sweep.yaml --store bf16 --jobs 1 --device cuda --dtype bf16
assert_status 0 run sweep.yaml --store bf16.alone --jobs 2 --device auto --dtype bf16 --no-share
dump_answers bf16 >bf16.txt
dump_answers bf16.alone >alone.txt
assert_same_file 'bf16, shared or not' bf16.txt alone.txt

[ "$card" = 'emulated card' ] || exit 0
export EMULATED_MEMORY_MIB=7
assert_error 3 "video 'demo-2' needs|MiB" run sweep.yaml --store little --jobs 1 --device cuda
export EMULATED_MEMORY_MIB=1
assert_error 3 'the weights take|take another card' run sweep.yaml --store none --jobs 1 --device cuda --dtype f32
