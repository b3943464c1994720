# with_serve.sh TOKSWEEP MODEL COMMAND...: runs a command while the program serves a checkpoint, whose address the http runner finds in the
# environment; so the contract's test is the same for all runners.
set -eu
toksweep=$1 model=$2
shift 2
for variable in ${!TOKSWEEP_@} OPENAI_API_KEY; do
    unset "$variable"
done
folder=$(mktemp -d "${TMPDIR:-/tmp}/toksweep-serve.XXXXXX")
trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null; rm -rf "$folder"' EXIT
"$toksweep" serve "$model" --port 0 --dtype f32 --threads 1 >"$folder/address" 2>"$folder/talk" &
server=$!
for _ in $(seq 600); do
    [ ! -s "$folder/address" ] || break
    kill -0 "$server" 2>/dev/null || { cat "$folder/talk" >&2; exit 1; }
    sleep 0.1
done
export OPENAI_BASE_URL
OPENAI_BASE_URL=$(cat "$folder/address")
"$@"
