#!/usr/bin/env bash
# The demo: renders the tiny world's first videos, runs configs/sweeps/demo.yaml and demo-dyntok.yaml on them, prints their tables, one of both models
# and one by task type, leaves results.sqlite, three plots and the report beside the Makefile.
#   tools/demo.sh BUILD_FOLDER
set -eu
cd "$(dirname "$0")/.."
build=$1
toksweep=$build/toksweep

for sweep in demo demo-dyntok; do
    "$toksweep" run configs/sweeps/$sweep.yaml --store results.sqlite --cache build/cache --keep-groups
    echo
done
echo 'Without compression, DynTok on a model that never saw it, and on one that was trained with it:'
compared="label IN ('none', 'dyntok threshold=0.4', 'dyntok threshold=0.6')"
"$toksweep" report results.sqlite --where "$compared"
echo
"$toksweep" report results.sqlite --by task_type --where "frames = 16 AND $compared"
for plot in ratio-accuracy threshold frames; do
    "$toksweep" plot results.sqlite $plot --out demo-$plot.svg
done
"$toksweep" report results.sqlite --html demo-report.html --frames 16M
cat <<'END'

The videos are rendered and the models are small ones that were trained on such videos (models/README.md): what compression costs is measured,
but nothing of it follows for published models.
Left here: results.sqlite, demo-ratio-accuracy.svg, demo-threshold.svg, demo-frames.svg (each plot with its .dat and .gp), and
demo-report.html: open it in a browser.
Next: build/release/toksweep help        sqlite3 results.sqlite 'select * from cell_accuracy'
END
