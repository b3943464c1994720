#!/bin/bash
# How time grows with frames, tokens, cells and videos: tests/bench/growth.sh TOKSWEEP MODEL CLIPS OUT.svg
#
# Processor time of one thread: of tower and prefill as bench measures them (frames, rows), and of whole runs (cells, videos).
# Writes OUT.dat, four tables with a blank line between, and draws it with gnuplot.
set -eu
toksweep=$(realpath "$1") model=$(realpath "$2") clips=$(realpath "$3") out=$(realpath "${4%.svg}")
folder=$(mktemp -d "${TMPDIR:-/tmp}/toksweep-growth.XXXXXX")
trap 'rm -rf "$folder"' EXIT
cd "$folder"

manifest() # VIDEOS
{
    local separator='[' clip
    for clip in $(find "$clips" -name '*.mp4' | sort | head -"$1"); do
        clip=$(basename "$clip" .mp4)
        printf '%s{"videoID": "%s", "question_id": "%s", "question": "What?", "options": ["A. a", "B. b", "C. c", "D. d"], "answer": "A"}' "$separator" $clip $clip
        separator=$',\n'
    done
    echo ']'
}

run() # STORE VIDEOS FRAMES COMPRESSORS OPTION...: prints the processor time in seconds
{
    local store=$1 videos=$2 frames=$3 compressors=$4
    shift 4
    manifest "$videos" >manifest.json
    printf 'model: %s\nrunner: { name: native, dtype: bf16 }\naxes:\n  benchmark: { name: videomme, manifest: manifest.json, videos: %s }\n  frames: %s\n  compressor: %s\n' \
        "$model" "$clips" "$frames" "$compressors" >sweep.yaml
    rm -f "$store"
    TIMEFORMAT='%U %S'
    { time "$toksweep" run sweep.yaml --store "$store" --jobs 1 --threads 1 "$@" >/dev/null 2>err || { cat err >&2; exit 1; }; } 2>&1 | awk '{ print $1 + $2 }'
}

thresholds() # N
{
    seq -f '{ name: dyntok, threshold: %g }' -s ', ' 0.30 0.01 $(awk "BEGIN { print 0.295 + 0.01 * $1 }") | sed 's/^/[/; s/$/]/'
}

figure() # JSON NAME: median seconds of the figure whose name begins so
{
    sqlite3 :memory: "SELECT avg(value) FROM (SELECT value, row_number() OVER (ORDER BY value) AS place, count(*) OVER () AS n
        FROM json_each((SELECT json_extract(value, '\$.seconds') FROM json_each(json_extract(CAST(readfile('$1') AS TEXT), '\$.figures'))
        WHERE json_extract(value, '\$.name') LIKE '$2%'))) WHERE place IN ((n + 1) / 2, (n + 2) / 2)"
}

{
    echo '# frames, s of the tower'
    for n in 1 2 4 8 12 16; do
        "$toksweep" bench sample --model "$model" --frames $n --threads 1 --clock processor --json one.json >/dev/null 2>&1
        echo "$n $(figure one.json "of it $n frames")"
    done
    printf '\n\n# rows, s of the prefill\n'
    for n in 512 1024 2048 4096 6144 8192; do
        "$toksweep" bench stages --model "$model" --rows $n --threads 1 --clock processor --json one.json >/dev/null 2>&1
        echo "$n $(figure one.json prefill)"
    done
    printf '\n\n# cells of 8 frames on 2 videos, s shared, s with --no-share\n'
    for n in 1 2 4 8 12 16; do
        echo "$n $(run cells 2 '[8]' "$(thresholds $n)") $(run cells 2 '[8]' "$(thresholds $n)" --no-share)"
    done
    printf '\n\n# videos of 2 cells of 8 frames, s shared, s with --no-share\n'
    for n in 1 2 3 4 5 6; do
        echo "$n $(run videos $n '[8]' "$(thresholds 2)") $(run videos $n '[8]' "$(thresholds 2)" --no-share)"
    done
} >"$out.dat"
gnuplot <<PLOT
set terminal svg size 900,620 font 'sans,13' background '#ffffff'
set output '$out.svg'
set fit quiet nolog
set multiplot layout 2,2
set key left top
set grid linecolor '#dddddd'
set xrange [0:]
set yrange [0:]
line(x) = a * x
square(x) = b * x + c * x * x
fit line(x) '$out.dat' index 0 via a
b = 1e-5; c = 1e-9
fit square(x) '$out.dat' index 1 via b, c
set xlabel 'frames'; set ylabel 'tower, s'
plot '$out.dat' index 0 pt 7 lc '#0b62a4' title 'measured', line(x) lc '#888888' title 'a frames'
set xlabel 'rows'; set ylabel 'prefill, s'; set xtics 2048
plot '$out.dat' index 1 pt 7 lc '#0b62a4' title 'measured', square(x) lc '#888888' title 'b rows + c rows^2'
set xlabel 'cells'; set xtics autofreq; set ylabel 'processor time, s'
plot '$out.dat' index 2 using 1:2 with linespoints pt 7 lc '#0b62a4' title 'shared', '' index 2 using 1:3 with linespoints pt 6 lc '#c1440e' title '--no-share'
set xlabel 'videos'
plot '$out.dat' index 3 using 1:2 with linespoints pt 7 lc '#0b62a4' title 'shared', '' index 3 using 1:3 with linespoints pt 6 lc '#c1440e' title '--no-share'
PLOT
