# The engine behind HTTP gives the answers that it gives in process; what servers report, faults, bounds and keys stay what they are.
. "$(dirname "$0")/lib.sh"
unset OPENAI_API_KEY OPENAI_BASE_URL OPENAI_API_BASE http_proxy https_proxy all_proxy

# Starts `toksweep serve` with these arguments; its address is in $url, its process in $server.
start_server() # ARGUMENT...
{
    : >address
    "$toksweep" serve "$@" --port 0 >address 2>talk </dev/null &
    server=$!
    local i
    for i in $(seq 600); do
        [ ! -s address ] || break
        kill -0 $server 2>/dev/null || fail "serve $*: $(cat talk)"
        sleep 0.1
    done
    url=$(cat address)
}

stop_server()
{
    kill -TERM $server
    wait $server
    assert_equal 'status of a server that was stopped' 0 $?
}

replies() # STORE
{
    query "$1" "
        SELECT cell.label, cell.frames, sample.name, answer.status, quote(raw), answer.extracted, correct
        FROM answer JOIN cell ON cell.id = cell_id JOIN sample ON sample.id = sample_id ORDER BY cell.label, cell.frames, sample.name"
}

write_manifest manifest.json 2 demo-2 demo-3
write_sweep sweep.yaml 3 f32 <<'END'
    - none
    - {name: dyntok, threshold: 0.6}
    - {name: random, keep: 0.5}
    - [{name: visionzip, keep: 0.5}, {name: fastv, layer: 1, keep: 0.5}]
END

# ---- the same answers -------------------------------------------------------------------------------------------------------

start_server "$model" --dtype f32 --threads 1
assert_status 0 run sweep.yaml --store native
for settings in '' 'time_instruction=true'; do
    store=http$settings
    assert_status 0 run sweep.yaml --store native$settings ${settings:+--set $settings}
    assert_status 0 run sweep.yaml --store $store --set "runner={name: http, base_url: '$url'}" --jobs 2 ${settings:+--set $settings}
    assert_intact $store
    assert_query $store 16 'SELECT count(*) FROM answer WHERE NOT failed'
    replies native$settings >native.txt
    replies $store >http.txt
    assert_same_file "answers in process and through a server, $settings" native.txt http.txt
    # What the server counts is kept apart from what is counted here.
    assert_query $store '16|16|1' 'SELECT count(*), sum(attempts), min(prompt_tokens > 50 AND completion_tokens > 0) FROM remote'
    assert_query $store '0|0' 'SELECT max(tokens_visual + tokens_text + tokens_generated), max(frames_encoded) FROM cost'
    assert_query $store "$(query native$settings 'SELECT sum(tokens_visual + tokens_marker + tokens_text), sum(tokens_generated) FROM cost')" \
        'SELECT sum(prompt_tokens), sum(completion_tokens) FROM remote'
done
prompts='SELECT sum(prompt_tokens) FROM remote'
[ "$(query httptime_instruction=true "$prompts")" -gt "$(query http "$prompts")" ] || fail "the time instruction did not arrive"

# Where the server listens is no part of a cell: another one with the same checkpoint continues.
stop_server
start_server "$model" --dtype f32 --threads 2 --jobs 2 --name "$model"
assert_status 0 run sweep.yaml --store http --set "runner={name: http, base_url: '$url'}"
[ ! -s err ] || fail "a run with nothing to do said: $(cat err)"
assert_query http 4 'SELECT count(*) FROM cell'

# JPEG is another cell, and another picture.
assert_status 0 run sweep.yaml --store http --set "runner={name: http, base_url: '$url', picture: jpeg, jpeg_quantiser: 31}" --limit 1
assert_query http 8 'SELECT count(*) FROM cell'

# ---- what cannot be -----------------------------------------------------------------------------------------------------------

assert_error 2 "runner http does not know its server|base_url|OPENAI_BASE_URL" run sweep.yaml --store no --set runner=http
assert_error 3 "no server answers at 'http://127.0.0.1:1/v1'|base_url" run sweep.yaml --store no \
    --set "runner={name: http, base_url: 'http://127.0.0.1:1/v1'}"
assert_error 2 "keys belong into the environment" run sweep.yaml --store no --set "runner={name: http, base_url: 'http://me:secret@127.0.0.1/v1'}"
assert_error 2 "has 'api_key'|OPENAI_API_KEY" run sweep.yaml --store no --set "runner={name: http, base_url: '$url', body: {api_key: sk-1}}"
assert_error 2 "unknown key 'base_ulr'|did you mean 'base_url'" run sweep.yaml --store no --set "runner={name: http, base_ulr: '$url'}"
assert_error 2 "unknown key 'accuracy'" run sweep.yaml --store no --set "runner={name: native, accuracy: 1}"
assert_error 2 "axis 'body' is what is added to requests, and runner native sends none" run sweep.yaml --store no --set 'axes.body={a: 1}'
assert_error 2 "others than this machine can reach '0.0.0.0'|TOKSWEEP_SERVE_TOKEN" serve "$model" --host 0.0.0.0 --port 0
assert_error 2 "'example.org' is no address" serve "$model" --host example.org --port 0
assert_error 2 "no model 'nobody/nothing'" serve nobody/nothing --port 0
stop_server

# ---- keys -----------------------------------------------------------------------------------------------------------------------

export TOKSWEEP_SERVE_TOKEN=sk-very-secret-1234
start_server "$model" --dtype f32
unset TOKSWEEP_SERVE_TOKEN
with="runner={name: http, base_url: '$url'}"
assert_error 3 "refuses requests without a key (401)" run sweep.yaml --store keys --set "$with"
OPENAI_API_KEY=sk-wrong assert_error 3 "refuses the key (401)" run sweep.yaml --store keys --set "$with"
export MY_KEY=sk-very-secret-1234
assert_status 0 run sweep.yaml --store keys --limit 1 --set "runner={name: http, base_url: '$url', key_variable: MY_KEY}"
cat out err >>said
assert_query keys 4 'SELECT count(*) FROM answer WHERE NOT failed'
stop_server
! grep -q sk-very-secret keys keys-wal said talk 2>/dev/null || fail "a key was written down"
