# Every method that compares features and adds them up before the language model, on a card (as in test_run.sh), which the features do not
# leave: in f32 the processor's tokens.
. "$(dirname "$0")/../cli/lib.sh"
export EMULATED_APART=1

"$toksweep" list devices | grep -q '^cuda:0 ' || { echo 'skip: no CUDA card'; exit 77; }

# Where weights are saliency, or a token is a row by itself, a digest has the last bits of features in it: there numbers are compared.
tokens() # STORE
{
    query "$1" "SELECT cell.label, sample.name, answer.status, tokens_visual, tokens_marker,
                       iif(cell.label GLOB '*form=runs*' OR cell.label GLOB 'prumerge*', '', tokens_digest)
                FROM cell JOIN answer ON answer.cell_id = cell.id JOIN sample ON sample.id = answer.sample_id
                JOIN cost ON cost.answer_id = answer.id ORDER BY cell.label, sample.name"
}

write_manifest manifest.json 1 demo-2
write_sweep sweep.yaml '[2]' f32 <<'YAML'
    - {name: dyntok, threshold: 0.6, x_pool: average}
    - {name: dycoke, k: 0.9, p: 0}
    - {name: divprune, keep: 0.1}
    - {name: fastvid, keep: 0.1}
    - {name: flashvid, keep: 0.1, inner_keep: 1}
    - {name: holitom, inner_keep: 1}
    - {name: prunevid, keep: 0.2, inner_keep: 1}
    - {name: prumerge, keep: 0.05}
    - {name: scissor, threshold: 0.8}
    - {name: sttm, layer: 0}
    - {name: tome, keep: 0.1, metric: keys, per: video}
    - {name: vqtoken, k: 12}
    - {name: vqtoken, k: 12, grid: pooled, form: runs}
YAML
cells=13

assert_status 0 run sweep.yaml --store host --jobs 1 --threads 1
assert_status 0 run sweep.yaml --store card --jobs 1 --device cuda
assert_query card $cells "SELECT count(*) FROM answer WHERE NOT failed"
tokens host >host.txt
tokens card >card.txt
assert_same_file 'tokens of the card in f32' host.txt card.txt
