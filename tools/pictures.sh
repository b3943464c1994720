#!/usr/bin/env bash
# Draws the pictures of docs/compressors.md and docs/commands.md: what each method makes of a rendered street under the tests' micro
# checkpoint, whose weights are random. Every method of `toksweep list compressors` gets one, with its defaults unless listed here.
#   tools/pictures.sh BUILD_FOLDER [METHOD...]
set -eu
cd "$(dirname "$0")/.."
build=$1
shift
out=docs/pictures width=160
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$build/tests/render_street" "$work/street.mkv"

draw() # NAME PLACES COMPRESSOR...
{
  local name=$1 places=$2 compressors=()
  shift 2
  for compressor; do compressors+=(--compressor "$compressor"); done
  "$build/toksweep" inspect "$work/street.mkv" --model tests/fixtures/micro --assistant tests/fixtures/micro-hf --dtype f32 --frames 8 \
    --show "$places" --width "$width" --out "$work/$name.png" "${compressors[@]}" >"$work/counts"
  mv "$work/$name.png" "$out/$name.png"
}

draw_method() # METHOD
{
  local name=tokens-$1
  case $1 in
  none) ;;
  dyntok) draw "$name" 1-3 dyntok 'dyntok direction=rows_time' ;;
  dytok) draw "$name" 1-3 'dytok + dyntok' ;;
  random | uniform) draw "$name" 1,2 "$1 keep=0.3" ;;
  slowfast) draw "$name" 1-3 'slowfast every=4' ;;
  dynamic-vlm) draw "$name" 1,2 'dynamic-vlm tokens=512' ;;
  tome) draw "$name" 1,2 'tome keep=0.2' ;;
  visionzip) draw "$name" 1,2 'visionzip keep=0.1' ;;
  vqtoken) draw "$name" 1,2 'vqtoken k=12' ;;
  pact) draw "$name" 1,2 'pact layer=1' ;;
  dycoke) draw "$name" 1-3 'dycoke p=0' ;;
  pyramiddrop | sparsevlm) draw "$name" 1 "$1" ;;
  prunevid | sttm | framefusion) draw "$name" 1-3 "$1" ;;
  *) draw "$name" 1,2 "$1" ;;
  esac
}

if [ $# -eq 0 ]; then
  draw tokens 1,2 dyntok 'dyntok direction=time' 'visionzip keep=0.1'
  mapfile -t methods < <("$build/toksweep" list compressors | sed -n 's/^\([a-z0-9-]*\): .*/\1/p')
  set -- "${methods[@]}"
fi
for method; do
  draw_method "$method"
done
