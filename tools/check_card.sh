#!/usr/bin/env bash
# Checks everything that computes on a CUDA card, on a real one, and writes what it found to tests/bench/<card>.md.
#   tools/check_card.sh [cuda:N]
set -u
device=${1:-cuda:0}
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
cd "$root" || exit 1
cmake --preset cuda && cmake --build --preset cuda || exit 1
toksweep=build/cuda/toksweep
"$toksweep" list devices | grep -q "^$device " || { echo "no $device here: $("$toksweep" list devices | grep '^cuda')" >&2; exit 1; }
card=$("$toksweep" list devices | sed -n "s/^$device  \(.*\), compute .*/\1/p")
mkdir -p tests/bench
record=tests/bench/$(printf %s "$card" | tr -cs '[:alnum:]' - | sed 's/-*$//').md
failed=0

say()
{
    printf '%s\n' "$@" | tee -a "$record"
}

# A section of the record: a command, what it printed last, and whether it passed.
check() # TITLE COMMAND...
{
    local title=$1 log status
    shift
    log=$(mktemp)
    "$@" >"$log" 2>&1
    status=$?
    say '' "## $title: $([ $status -eq 0 ] && echo passed || echo "FAILED ($status)")" '' '```'
    tail -n 40 "$log" | tee -a "$record"
    say '```'
    rm -f "$log"
    [ $status -eq 0 ] || failed=1
}

: >"$record"
say "# $card" '' "$("$toksweep" version), $(date -u +%F), driver $(nvidia-smi --query-gpu=driver_version --format=csv,noheader | head -n 1)"
number=${device#cuda:}
export CUDA_VISIBLE_DEVICES=$number # the checks take the first card they see
check 'every slot against ref' build/cuda/tests/check_cuda
if command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck initcheck synccheck; do
        check "the same under $tool" compute-sanitizer --tool "$tool" --error-exitcode 1 build/cuda/tests/check_cuda
    done
else
    say '' 'compute-sanitizer is not installed: memory and races were not checked'
fi
build/cuda/tests/render_clips build/cuda/tests/clips
for sweeps in run methods; do
    check "sweeps: the card against the processor ($sweeps)" bash tests/emulated/test_$sweeps.sh "$root/$toksweep" "$root" "$root/build/cuda/tests/clips"
done
for model in lmms-lab/llava-onevision-qwen2-0.5b-ov lmms-lab/LLaVA-Video-7B-Qwen2; do
    measured=${record%.md}-${model##*/}.json
    check "speed, $model, bf16" "$toksweep" bench kernels stages sample --device cuda --dtype bf16 --model "$model" --rows 20160 --frames 96 \
        --format md --json "$measured"
    if python3 -c 'import torch; raise SystemExit(not torch.cuda.is_available())' 2>/dev/null; then
        check "the same by PyTorch, $model" python3 tests/bench/peer_torch_card.py "$measured"
    else
        say '' 'PyTorch with CUDA is not installed: nothing to compare with'
    fi
done
say '' "$([ $failed -eq 0 ] && echo 'All checks passed.' || echo 'Some checks failed.')"
echo "recorded in $record"
exit $failed
