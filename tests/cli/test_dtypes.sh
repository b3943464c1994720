# Every instruction set of this processor in f32 and in bf16, with a model that answers questions: f32 gives the same replies everywhere, bf16
# gives f32's but where the two best first ids are close.
. "$(dirname "$0")/lib.sh"
bound=0.25 # logits

cat >sweep.yaml <<END
model: $source/models/tinyworld-baseline
runner: native
axes: { benchmark: tinyworld_smoke, frames: 4, compressor: [none, { name: pool, stride: 2 }] }
END
isas=$("$toksweep" list devices | sed -n 's/^ *isa \([^ ]*\)  *runs here$/\1/p' | grep -v '^ref$')
[ -n "$isas" ] || { echo 'skipped: no instruction set but the reference'; exit 77; }
n=0
for isa in $isas; do
    for dtype in f32 bf16; do
        assert_status 0 run sweep.yaml --cache cache --store store --isa "$isa" --dtype $dtype --limit 100
        n=$((n + 200))
    done
done
assert_query store $n 'SELECT count(*) FROM answer WHERE NOT failed AND margin IS NOT NULL'

query store "CREATE TEMP TABLE given AS SELECT isa, dtype, label, sample_id, replace(raw, char(10), ' ') AS said, margin
        FROM answer JOIN cell ON cell.id = cell_id;
    SELECT a.dtype, b.dtype, a.isa, b.isa, a.label, a.sample_id, a.said, b.said, a.margin, b.margin FROM given a JOIN given b USING (label, sample_id)
    WHERE a.dtype = 'f32' AND (b.dtype = 'bf16' AND a.isa = b.isa OR b.dtype = 'f32' AND a.isa < b.isa)" >pairs
awk -F'|' -v bound=$bound '
    $1 == $2 { off = $9 - $10; if ($7 != $8 || off > 1e-3 || off < -1e-3) { print "not the same in f32: " $0; bad = 1 } }
    $1 != $2 && $7 != $8 && $9 >= bound { print "not the same in bf16: " $0; bad = 1 }
    $1 != $2 { n++; differ += $7 != $8 }
    END { print differ + 0 " of " n " replies of bf16 are not those of f32"; exit !n || bad }' pairs >told || fail "$(tail -5 told)"
cat told
