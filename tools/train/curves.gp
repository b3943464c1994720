# The losses and the share of right letters of a run, from its log.jsonl, a line for each stage or model:
#   gnuplot -e "log='run/log.jsonl'; out='curves.svg'" curves.gp
set terminal svg size 1000,360 font "Helvetica,12" background rgb "white"
set output out
stages = system(sprintf("sed -n 's/.*\"stage\": \"\\([a-z]*\\)\".*\"answers\".*/\\1/p' %s | awk '!seen[$0]++'", log))
of(stage, what) = sprintf("< sed -n 's/.*\"stage\": \"%s\", \"step\": \\([0-9]*\\).*\"%s\": \\([0-9.]*\\).*/\\1 \\2/p' %s", stage, what, log)
set multiplot layout 1,2 margins 0.08,0.87,0.17,0.96 spacing 0.08
set grid ytics lc rgb "#dddddd"
set border 3
set tics nomirror
set xlabel "step of the stage"
unset key
set ylabel "right letters on training videos, %"
set yrange [0:100]
plot for [stage in stages] of(stage, "right") using 1:(100 * $2) with lines lw 2 title stage
set key at screen 0.995,0.9 right
set ylabel "loss of answers"
set yrange [0.05:*]
set logscale y
plot for [stage in stages] of(stage, "answers") using 1:2 with lines lw 2 title stage
unset multiplot
