# Bad input of every kind: one sentence that names file, place and way out, a status that is not zero, and a store that keeps what it had.
. "$(dirname "$0")/lib.sh"

write_manifest manifest.json 2 demo-1 demo-2
write_sweep sweep.yaml 3 f32 <<<'
    - none
    - {name: dyntok, threshold: 0.5}'
assert_status 0 run sweep.yaml --store kept
dump_answers kept >kept.txt
assert_query kept 8 'SELECT count(*) FROM answer WHERE NOT failed'

assert_kept()
{
    assert_intact kept
    dump_answers kept >kept.now
    assert_same_file "the store after toksweep $*" kept.txt kept.now
}

# A run into the store that is there fails with this status and sentence.
refuses() # STATUS 'PART|PART|...' ARGUMENT...
{
    assert_error "$1" "$2" run "${@:3}" --store kept
    assert_kept "${@:3}"
}

# ---- checkpoints ------------------------------------------------------------------------------------------------------------

copy_checkpoint() # FIXTURE
{
    rm -rf model
    mkdir model
    cp "$source/tests/fixtures/$1"/* model/ 2>/dev/null # folders stay behind
}

refuses_model() # 'PART|PART|...'
{
    refuses 3 "$1" sweep.yaml --set model=model
}

put_u64() # NUMBER
{
    local shift
    for shift in 0 8 16 24 32 40 48 56; do
        printf '%b' "\\0$(printf %o $(($1 >> shift & 255)))"
    done
}

header_length() # FILE
{
    local byte
    read -r -a byte < <(od -An -v -tu1 -N8 "$1")
    echo $((byte[0] | byte[1] << 8 | byte[2] << 16 | byte[3] << 24))
}

# Runs the header of model/model.safetensors through sed; the data stays.
edit_header() # SED_SCRIPT
{
    local file=model/model.safetensors length
    length=$(header_length $file)
    tail -c +9 $file | head -c "$length" >before
    tail -c +$((9 + length)) $file >data
    sed "$1" before >after
    cmp -s before after && fail "the header has nothing for: $1"
    { put_u64 "$(wc -c <after)" && cat after data; } >$file
}

edit_file() # FILE SED_SCRIPT
{
    cp "$1" before
    sed -i "$2" "$1"
    cmp -s before "$1" && fail "$1 has nothing for: $2"
}

for bytes in 0 5; do
    copy_checkpoint micro
    head -c $bytes "$source/tests/fixtures/micro/model.safetensors" >model/model.safetensors
    refuses_model "'model/model.safetensors' is cut short|it has $bytes bytes|download it again"
done
copy_checkpoint micro
head -c 1000 "$source/tests/fixtures/micro/model.safetensors" >model/model.safetensors
refuses_model "'model/model.safetensors' is cut short|its header has 12056 bytes, only 992 follow|download it again"
head -c 300000 "$source/tests/fixtures/micro/model.safetensors" >model/model.safetensors
refuses_model "'model/model.safetensors' is cut short|tensor 'model.|ends at byte|the file has 287936|download the file again"
echo 'version https://git-lfs.github.com/spec/v1' >model/model.safetensors
refuses_model "'model/model.safetensors' is no safetensors file|Git LFS pointer|download it again"
{ put_u64 $((1 << 40)) && head -c 100 /dev/zero; } >model/model.safetensors
refuses_model "'model/model.safetensors'|a header of 1099511627776 bytes, where at most 100000000 are allowed"

copy_checkpoint micro
edit_header 's/"model.image_newline":{\([^}]*\)"data_offsets":\[77312,77440\]/"model.image_newline":{\1"data_offsets":[77184,77312]/'
refuses_model "tensor 'model.image_newline' in 'model/model.safetensors' overlaps 'model.embed_tokens.weight'|download the file again"
copy_checkpoint micro
edit_header 's/"model.image_newline":{[^}]*},//'
refuses_model "'model/model.safetensors' has 128 bytes of no tensor in front of|download the file again"
copy_checkpoint micro
head -c 64 /dev/zero >>model/model.safetensors
refuses_model "'model/model.safetensors' has 64 bytes behind its last tensor|download the file again"
copy_checkpoint micro
edit_header 's/"shape":\[604,64\]/"shape":[605,64]/'
refuses_model "tensor 'model.embed_tokens.weight' in 'model/model.safetensors' needs 619520 bits|span 77312 bytes|download the file again"
copy_checkpoint micro
edit_header 's/"shape":\[604,64\]/"shape":[6040000000000000000,64]/'
refuses_model "tensor 'model.embed_tokens.weight' in 'model/model.safetensors'|does not fit 64 bits|download the file again"
copy_checkpoint micro
edit_header 's/"data_offsets":\[0,77312\]/"data_offsets":[0,-77312]/'
refuses_model "'model/model.safetensors' has an ill-formed header|a whole number|at its byte|download the file again"
copy_checkpoint micro
edit_header 's/} *$//'
refuses_model "'model/model.safetensors' has an ill-formed header|download the file again"

# What fits the file, but not the model.
copy_checkpoint micro
edit_header 's/"shape":\[604,64\]/"shape":[302,128]/'
refuses_model "model/model.safetensors: tensor 'model.embed_tokens.weight' has shape [302, 128], the config asks for [604, 64]|do not belong together"
copy_checkpoint micro
edit_header 's/"model.image_newline":{"dtype":"BF16"/"model.image_newline":{"dtype":"I16"/'
refuses_model "model/model.safetensors: tensor 'model.image_newline' is I16|F32, F16 and BF16"
copy_checkpoint micro
edit_header 's/model.layers.2.mlp.up_proj/model.layers.9.mlp.up_proj/'
refuses_model "model/model.safetensors: tensor 'model.layers.2.mlp.up_proj.weight' is missing|download the checkpoint again"
copy_checkpoint micro
edit_file model/config.json 's/"num_hidden_layers": 3,$/"num_hidden_layers": 2,/;s/"max_window_layers": 3/"max_window_layers": 2/'
refuses_model "model/model.safetensors|tensor|is not part of the architecture in config.json|do not belong together"

copy_checkpoint micro
edit_file model/config.json 's/"hidden_size": 64,/"hidden_size": "64",/'
refuses_model "model/config.json|'hidden_size' should be a whole number"
copy_checkpoint micro
edit_file model/config.json '/"num_hidden_layers": 3,$/d'
refuses_model "model/config.json|'num_hidden_layers' is missing"
copy_checkpoint micro
echo '{"hidden_size": 64,' >model/config.json
refuses_model "model/config.json:2:1: not valid JSON"
rm model/config.json
refuses_model "cannot open 'model/config.json'|give the folder of a checkpoint"
refuses 2 "no model 'nowhere'|neither a folder here nor beside the sweep file nor in the Hub cache|give the path" sweep.yaml --set model=nowhere
copy_checkpoint micro
rm model/model.safetensors
refuses_model "'model' has neither model.safetensors.index.json nor model.safetensors|give a folder"

# Shards.
copy_checkpoint micro-sharded
rm model/model-00002-of-00002.safetensors
refuses_model "shard 'model/model-00002-of-00002.safetensors' is missing, though 'model/model.safetensors.index.json' lists it|download it"
copy_checkpoint micro-sharded
edit_file model/model.safetensors.index.json 's/"model.image_newline": "[^"]*"/"model.image_newline": "..\/micro\/model.safetensors"/'
refuses_model "'model/model.safetensors.index.json' maps tensor 'model.image_newline' to the shard '../micro/model.safetensors'|beside the index"
copy_checkpoint micro-sharded
edit_file model/model.safetensors.index.json 's/"model.image_newline": "model-0000\(.\)/"model.image_newline": "model-0000\1-x/;s/1-x/2/;s/2-x/1/'
refuses_model "'model/model.safetensors.index.json' maps tensor 'model.image_newline' to 'model/model-0000|but it is in|download the checkpoint again"

# Tokenizers.
copy_checkpoint micro
edit_file model/tokenizer.json 's/"merges":\[.*\]}/"merges":[]}/'
refuses_model "model/tokenizer.json|merges"
copy_checkpoint micro
edit_file model/tokenizer.json 's/,"merges":\[.*\]}/}/'
refuses_model "model/tokenizer.json|merges"
copy_checkpoint micro
edit_file model/tokenizer.json 's/"type":"NFC"/"type":"NFKC"/'
refuses_model "the tokenizer of 'model/tokenizer.json' is not Qwen2's|its normalizer is not NFC"
rm model/tokenizer.json
refuses_model "'model' has neither tokenizer.json nor vocab.json|put the checkpoint's tokenizer files into the folder"
copy_checkpoint micro-sharded
rm model/merges.txt
refuses_model "'model/merges.txt' is missing, without which text cannot be encoded|put the checkpoint's tokenizer.json, or its merges.txt"

# ---- manifests --------------------------------------------------------------------------------------------------------------

refuses_manifest() # FILE 'PART|PART|...'
{
    refuses 3 "$2" sweep.yaml --set "axes.benchmark={name: videomme, manifest: $1, videos: $clips}"
}

edit_manifest() # SED_SCRIPT
{
    cp manifest.json bad.json
    edit_file bad.json "$1"
}

echo 'question,answer' >bad.txt
refuses_manifest bad.txt "'bad.txt' is no manifest|.csv|PAR1|JSON list|JSON Lines"
cp bad.txt bad.csv
refuses_manifest bad.csv "'bad.csv' has no questions"
printf 'question,answer\nq\n' >bad.csv
refuses_manifest bad.csv "'bad.csv', line 2: 1 fields; the first line has 2"
printf '\200\001\000[{' >bad.bin
refuses_manifest bad.bin "'bad.bin' is no manifest"
: >bad.bin
refuses_manifest bad.bin "'bad.bin' is no manifest"
refuses_manifest nowhere.json "cannot open 'nowhere.json': No such file"
head -c 2000 "$source/tests/fixtures/videomme/test-00000-of-00001.parquet" >bad.parquet
refuses_manifest bad.parquet "'bad.parquet'|does not end with 'PAR1'|fetch it again"
head -c 300 manifest.json >bad.json
refuses_manifest bad.json "bad.json:2:|not valid JSON: the text ends inside a string"
echo '[]' >bad.json
refuses_manifest bad.json "'bad.json' has no questions"
edit_manifest 's/"options": [^]]*\], //'
refuses_manifest bad.json "'bad.json'|row 0|no field 'options'"
edit_manifest '3s/"question_id": "[^"]*", //'
refuses_manifest bad.json "'bad.json'|row 2|no field 'question_id'"
edit_manifest '2s/"question": "[^"]*"/"question": 7/'
refuses_manifest bad.json "'bad.json'|row 1|field 'question' is a number; expected a text"
edit_manifest '2s/"answer": "B"/"answer": "Z"/'
refuses_manifest bad.json "'bad.json'|row 1|field 'answer' is 'Z'; expected a letter from A to D"
edit_manifest 's/demo-1-2/demo-1-1/'
refuses_manifest bad.json "'bad.json'|have the same id 'demo-1-1'; ids must be unique"
edit_manifest 's/"videoID": "demo-2"/"videoID": "..\/demo-2"/'
refuses_manifest bad.json "'bad.json'|row 2|'../demo-2' cannot be the name of a video"
sed -n '2s/, *$//p;2q' manifest.json | sed 's/^/{"question_id": "x"}\n/' >bad.jsonl
refuses_manifest bad.jsonl "'bad.jsonl', line 1: no field 'question'"
refuses 2 "no manifest of benchmark videomme|write {name: videomme, manifest: PATH, videos: FOLDER} in 'sweep.yaml'|--data FOLDER" \
    sweep.yaml --set axes.benchmark=videomme

# ---- sweep files ------------------------------------------------------------------------------------------------------------

edit_sweep() # SED_SCRIPT
{
    cp sweep.yaml bad.yaml
    edit_file bad.yaml "$1"
}

refuses_sweep() # 'PART|PART|...'
{
    refuses 2 "$1" bad.yaml
}

edit_sweep 's/^profile:/profil:/'
refuses_sweep "bad.yaml:4:1: unknown key 'profil' in a sweep; did you mean 'profile'?"
edit_sweep 's/^profile:/colour:/'
refuses_sweep "bad.yaml:4:1: unknown key 'colour' in a sweep; known keys: name, model"
edit_sweep 's/, threshold: 0.5/, treshold: 0.5/'
refuses_sweep "bad.yaml:12:7: |'treshold'; did you mean 'threshold'?"
edit_sweep 's/, threshold: 0.5/, threshold: high/'
refuses_sweep "bad.yaml:12:7: |'threshold' should be a number"
edit_sweep 's/, threshold: 0.5/, threshold: 15/'
refuses_sweep "bad.yaml:12:7: |'threshold' should be a number from -2 to 2, it is 15"
edit_sweep 's/frames: 3/frames: []/'
refuses_sweep "bad.yaml:8:3: axis 'frames' is empty; give at least one value"
edit_sweep 's/frames: 3/frames: many/'
refuses_sweep "bad.yaml:8:3: 'frames' should be whole numbers from 1 to 4096, this is many"
edit_sweep 's/^name: .*/name: !!python\/object:os.system x/'
refuses_sweep "bad.yaml:1:7: tags are not accepted; write the value without its '!'"
edit_sweep 's/^name: .*/name: one\nname: two/'
refuses_sweep "bad.yaml:2:1: this key stands twice; keep one of them"
edit_sweep 's/^profile: .*/profile: [lmms-0.3.4/'
refuses_sweep "bad.yaml:|not valid YAML"
{ echo 'a0: &a0 [x, x, x, x, x, x, x, x, x, x]' && for i in 1 2 3 4 5 6 7 8 9; do
    echo "a$i: &a$i [*a$((i - 1)), *a$((i - 1)), *a$((i - 1)), *a$((i - 1)), *a$((i - 1)), *a$((i - 1)), *a$((i - 1))]"
done; } >bad.yaml
refuses_sweep 'bad.yaml:5:|more than 10,000 values, aliases expanded; write the sweep with fewer aliases'
head -c 1200000 /dev/zero | tr '\0' '#' >bad.yaml
refuses_sweep 'bad.yaml: larger than the 1 MiB that a sweep file may have'
: >bad.yaml
refuses_sweep "bad.yaml: the file is empty|'model' and 'axes'"
printf '\200\001\000' >bad.yaml
refuses_sweep 'bad.yaml:1:|not valid YAML'
refuses 3 "cannot open 'nowhere.yaml': No such file" nowhere.yaml
refuses 2 "--set axes.frames: axis 'frames' is empty" sweep.yaml --set 'axes.frames=[]'
refuses 2 "--set axes.frams: unknown key 'frams' in axes; did you mean 'frames'?" sweep.yaml --set axes.frams=1

# ---- options ----------------------------------------------------------------------------------------------------------------

refuses 2 "--limit should be a whole number from 1 to" sweep.yaml --limit 0
refuses 2 "--shard should be K/N with 1 <= K <= N, it is '3/2'" sweep.yaml --shard 3/2
refuses 2 "--dtype should be f32, bf16, f16 or int8, it is 'f8'" sweep.yaml --dtype f8
refuses 2 "has no f16; use --dtype bf16, or a card (--device cuda)" sweep.yaml --dtype f16 --set axes.frames=2
refuses 2 "there is no kernel table 'sse': choose one of" sweep.yaml --isa sse
refuses 2 "no manifest of the sweep has a sample 'nothing'; the first of 'manifest.json' is 'demo-1-1'" sweep.yaml --samples nothing
refuses 2 "'run' has no option --treads; did you mean --threads?|'toksweep help run'" sweep.yaml --treads 1
refuses 2 "'0123' is the beginning of no build's digest in store 'kept'; the builds of its cells are" sweep.yaml --reuse-build 0123
refuses 3 "the weights of '$model' take|--memory allows 1.0 MiB; allow more, or take half with --dtype bf16" sweep.yaml --memory 1M
refuses 2 "there is no device 'tpu': choose cpu, cuda, cuda:N or auto" sweep.yaml --device tpu --set axes.frames=2
refuses 2 "there is no device 'cuda:x': choose cpu, cuda, cuda:N or auto" sweep.yaml --device cuda:x --set axes.frames=2
if "$toksweep" list devices | grep -q '^cuda:'; then
    refuses 3 "there is no cuda:99: this machine has|counted from cuda:0" sweep.yaml --device cuda:99 --set axes.frames=2
else
    refuses 3 "CUDA|use --device cpu" sweep.yaml --device cuda --set axes.frames=2
fi
TOKSWEEP_LIMIT=none refuses 2 "--limit should be a whole number from 1 to 2147483647, it is 'none'" sweep.yaml

# ---- stores -----------------------------------------------------------------------------------------------------------------

# Neither a run nor a report touches a file that is no store of this version.
refuses_store() # 'PART|PART|...'
{
    local command
    cp bad.store before
    for command in 'run sweep.yaml --store bad.store' 'report bad.store' 'plot bad.store threshold'; do
        assert_error 3 "'bad.store'|$1" $command
        assert_same_file "a refused store after toksweep $command" before bad.store
    done
}

sqlite3 kept 'PRAGMA wal_checkpoint(TRUNCATE)' >/dev/null
cp kept bad.store
query bad.store 'PRAGMA user_version = 99'
refuses_store 'has version 99, this program knows versions up to |; use a newer toksweep, or another store'
cp sweep.yaml bad.store
refuses_store 'is not a store: it is no SQLite file; name another file, or move this one away'
rm bad.store
query bad.store 'CREATE TABLE photos (name TEXT); PRAGMA user_version = 3'
refuses_store 'is an SQLite file of another program|name another file'
cp kept bad.store
dd if=/dev/urandom of=bad.store bs=4096 seek=1 count=20 conv=notrunc status=none
assert_error 3 "'bad.store'|the file is damaged: save what is left|or restore a copy" run sweep.yaml --store bad.store
assert_error 3 "'bad.store'|the file is damaged: save what is left" report bad.store
assert_error 3 "cannot open store 'nowhere': No such file|name a store that 'toksweep run' has written" report nowhere
assert_error 3 "cannot open store 'nowhere/store': No such file|make its folder" run sweep.yaml --store nowhere/store
[ ! -e nowhere ] || fail "a report made the store that it should have read"
: >empty
assert_error 3 "store 'empty' is empty; fill it with 'toksweep run SWEEP.yaml --store empty'" report empty

# ---- videos and prompts: answers with a status, while the rest goes on ------------------------------------------------------

assert_failed() # STORE STATUS VIDEO 'PART|PART|...'
{
    local parts part
    assert_query "$1" "$2" "SELECT DISTINCT status FROM answer JOIN sample ON sample.id = sample_id WHERE sample.name LIKE '$3-%' AND failed"
    query "$1" "SELECT DISTINCT message FROM answer JOIN sample ON sample.id = sample_id WHERE sample.name LIKE '$3-%' AND failed" >message
    IFS='|' read -r -a parts <<<"$4"
    for part in "${parts[@]}"; do
        assert_contains message "$part"
    done
    assert_contains err "warning: sample '$3-1' is $2: $(head -1 message)"
}

mkdir videos
cp "$clips/demo-1.mp4" "$clips/demo-2.mp4" videos/
head -c 20000 "$clips/demo-3.mp4" >videos/cut.mp4
echo 'This video is not available in your country.' >videos/page.mp4
: >videos/empty.mp4
write_manifest videos.json 2 demo-1 cut page empty gone demo-2
assert_status 0 run sweep.yaml --store videos.store --set "axes.benchmark={name: videomme, manifest: videos.json, videos: videos}"
assert_intact videos.store
assert_contains err '24 answers to compute' '16 of them failed: 12 decode_failed, 4 missing_video; --retry-failed computes them again'
assert_failed videos.store missing_video gone "no video 'gone'|'videos/gone.mp4'|give the folder of the videos"
assert_query videos.store 'decode_failed|12' 'SELECT status, count(*) FROM answer WHERE failed AND status <> "missing_video" GROUP BY status'
for video in cut page empty; do
    query videos.store "SELECT DISTINCT message FROM answer JOIN sample ON sample.id = sample_id WHERE sample.name = '$video-1'" >message
    assert_contains message "videos/$video.mp4"
done
assert_query videos.store '' 'SELECT raw FROM answer WHERE failed AND (raw IS NOT NULL OR correct)'
dump_answers videos.store | grep '|demo-' >answers.txt
sed 's/.*|demo-/|demo-/' kept.txt | sort >expected.txt # other cells, of another manifest, but the same answers
sed 's/.*|demo-/|demo-/' answers.txt | sort >found.txt
assert_same_file 'answers beside broken videos' expected.txt found.txt
assert_contains out '4/12' '8'

copy_checkpoint micro
edit_file model/config.json 's/"tokenizer_model_max_length": 32768/"tokenizer_model_max_length": 700/'
assert_status 0 run sweep.yaml --store long.store --jobs 1 --set model=model
assert_query long.store 'none|too_long|4' "SELECT label, status, count(*) FROM answer JOIN cell ON cell.id = cell_id WHERE failed GROUP BY 1, 2"
assert_query long.store 4 "SELECT count(*) FROM answer JOIN cell ON cell.id = cell_id WHERE NOT failed AND compressor = 'dyntok'"
rows=$(query kept "SELECT DISTINCT tokens_visual + tokens_marker + tokens_text FROM cost JOIN answer ON answer.id = answer_id
    JOIN sample ON sample.id = sample_id JOIN cell ON cell.id = cell_id WHERE label = 'none' AND sample.name = 'demo-1-1'")
assert_failed long.store too_long demo-1 "the prompt has $rows rows|the model's context holds 700; use fewer frames"
