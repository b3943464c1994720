# Fetching without a network: what is here is found, what is missing is named, and what cannot be meant is refused before anything is asked.
. "$(dirname "$0")/lib.sh"
unset http_proxy https_proxy all_proxy
commit=0123456789abcdef0123456789abcdef01234567
repository=$folder/.cache/huggingface/hub/models--some--model
snapshot=$repository/snapshots/$commit

assert_error 2 "cannot fetch a 'video'; say model, dataset or benchmark" fetch video some/model
assert_error 2 "no benchmark 'videome'" fetch benchmark videome
assert_error 2 "'model' is no name on the Hub|owner/name" fetch model model
assert_error 2 "'../x' is no revision" fetch model some/model --revision ../x
HF_ENDPOINT=ftp://x assert_error 2 "HF_ENDPOINT should begin with https://" fetch model some/model
export HF_TOKEN=hf_secret
HF_ENDPOINT=http://example.org assert_error 2 "HF_TOKEN would go to 'http://example.org' unencrypted" fetch model some/model
! grep -q hf_secret err || fail "the token is told: $(cat err)"
unset HF_TOKEN
HF_ENDPOINT=http://127.0.0.1:1 assert_error 3 "cannot ask 'http://127.0.0.1:1' about 'some/model'|HF_HUB_OFFLINE=1" fetch model some/model
[ ! -e "$folder/.cache" ] || fail "a fetch that failed left something"

export HF_HUB_OFFLINE=1
assert_error 3 "HF_HUB_OFFLINE is set, and 'some/model' at revision 'main' is not in" fetch model some/model
mkdir -p "$snapshot" "$repository/refs" "$repository/blobs"
printf %s $commit >"$repository/refs/main"
echo '{}' >"$repository/blobs/here"
ln -s ../../blobs/here "$snapshot/config.json"
assert_status 0 fetch model some/model
assert_equal 'the folder of a snapshot' "$snapshot" "$(cat out)"
ln -s ../../blobs/gone "$snapshot/tokenizer.json"
echo '{"weight_map": {"a": "model-00001-of-00002.safetensors"}}' >"$snapshot/model.safetensors.index.json"
assert_error 3 "2 files of 'some/model' are missing|HF_HUB_OFFLINE" fetch model some/model
assert_contains err 'missing: tokenizer.json' 'missing: model-00001-of-00002.safetensors'
