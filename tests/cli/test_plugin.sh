# A compressor from outside the tree: built from the headers that are installed, run, and part of the cell's identity.
. "$(dirname "$0")/lib.sh"
export TOKSWEEP_PLUGIN=
headers='core/arena.h core/digest.h core/err.h core/json.h core/rng.h core/tokens.h compressors/compressor.h compressors/plugin.h'

build_plugin() # SOURCE FILE.so
{
    ${CC:-cc} -std=c17 -O2 -Wall -Wextra -Werror -shared -fPIC -Iinclude -o "$2" "$1" || fail "$1 cannot be built"
}

copy_headers()
{
    local header
    for header in $headers; do
        mkdir -p "include/${header%/*}"
        cp "$source/$header" "include/$header"
    done
    cp "$source/docs/examples/checkerboard.c" .
}

copy_headers
for header in $headers; do # all that is needed is installed
    grep -q "set(plugin_headers.* $header[ )]" "$source/CMakeLists.txt" || fail "$header is not installed"
done
build_plugin checkerboard.c checkerboard.so

assert_status 0 list compressors --plugin checkerboard.so
assert_contains out 'checkerboard: keeps every n-th cell of each frame' '1..64 (2)'

write_manifest manifest.json 2 demo-1 demo-2
write_sweep sweep.yaml 4 f32 <<<'
    - none
    - {name: checkerboard, every: [1, 2]}'
assert_status 0 run sweep.yaml --store store --plugin ./checkerboard.so
assert_query store '784|784|392' "SELECT group_concat(n, '|') FROM (SELECT DISTINCT cell_id, tokens_visual AS n FROM answer
    JOIN cost ON answer_id = answer.id ORDER BY cell_id)"
assert_query store "$(sha256sum checkerboard.so | cut -d' ' -f1)" "SELECT DISTINCT json_extract(params, '\$.plugin') FROM cell WHERE compressor = 'checkerboard'"
# Keeping all is the uncompressed model, bit for bit.
assert_query store 1 "SELECT count(DISTINCT group_concat) FROM (SELECT group_concat(hex(ieee754_to_blob(margin)) || raw) AS group_concat
    FROM (SELECT * FROM answer JOIN cell ON cell.id = cell_id WHERE label IN ('none', 'checkerboard every=1') ORDER BY sample_id) GROUP BY cell_id)"

assert_status 0 run sweep.yaml --store store --plugin ./checkerboard.so
assert_query store 3 'SELECT count(*) FROM cell'
sed -i 's/(t + y + x) % every/(2 * t + y + x) % every/' checkerboard.c
build_plugin checkerboard.c changed.so
assert_status 0 run sweep.yaml --store store --plugin ./changed.so # another file, other cells
assert_contains err '8 answers to compute'

assert_error 2 'sweep.yaml:|a compressor is a name' run sweep.yaml --store store
assert_error 3 "'none.so'" list compressors --plugin none.so
assert_error 2 "plugin 'manifest.json' cannot be loaded" list compressors --plugin manifest.json
assert_error 2 'there is a compressor checkerboard already' list compressors --plugin checkerboard.so --plugin changed.so
echo 'int nothing;' >nothing.c
build_plugin nothing.c nothing.so
assert_error 2 "'nothing.so' is no plugin of this program|COMPRESSOR_PLUGIN" list compressors --plugin nothing.so
abi=$(sed -n 's/.*COMPRESSOR_ABI = \([0-9]*\).*/\1/p' include/compressors/plugin.h)
sed -i 's/COMPRESSOR_ABI = [0-9]*/& + 1/' include/compressors/plugin.h
build_plugin checkerboard.c newer.so
assert_error 2 "plugin 'newer.so' is built for interface $((abi + 1)), this program has $abi" list compressors --plugin newer.so
