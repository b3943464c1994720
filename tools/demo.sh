#!/usr/bin/env bash
# The demo: renders the clips, runs configs/sweeps/demo.yaml, prints its table, leaves results.sqlite, two plots and the
# report beside the Makefile.
#   tools/demo.sh BUILD_FOLDER
set -eu
cd "$(dirname "$0")/.."
build=$1
toksweep=$build/toksweep

mkdir -p build/demo/clips
"$build/tests/render_clips" build/demo/clips
"$toksweep" run configs/sweeps/demo.yaml --store results.sqlite --keep-groups
"$toksweep" plot results.sqlite ratio-accuracy --out demo-ratio-accuracy.svg
"$toksweep" plot results.sqlite threshold --out demo-threshold.svg
"$toksweep" report results.sqlite --html demo-report.html --frames 16M
cat <<'END'

The model's weights are random, so its accuracy is chance; tokens, ratios, times and intervals are measured.
Left here: results.sqlite, demo-ratio-accuracy.svg, demo-threshold.svg (each plot with its .dat and .gp), and demo-report.html: open it in a
browser.
Next: build/release/toksweep help        sqlite3 results.sqlite 'select * from cell_accuracy'
END
