#!/usr/bin/env bash
# What reading frames costs here beside the plan of decord's reader: 96 evenly spread frames of videos of 1, 10 and 60 minutes, at three
# sizes and two distances of key frames; some 15 minutes on two processors.
#   tests/bench/video_plans.sh BUILD_FOLDER FOLDER [SIZE...]
# Videos are made in FOLDER, where they stay: 16 s are encoded, the rest is copies of their packets. Of the longer ones of the larger
# sizes the first 24 of the 96 frames are read, which lie as far apart; all 96 of an hour of 1080p take a processor minutes.
set -eu
plans=$1/tests/video_plans folder=$2
shift 2
for size in ${*:-360 720 1080}; do
    case $size in
    360) width=640 kbits=700 ;;
    720) width=1280 kbits=2000 ;;
    1080) width=1920 kbits=4000 ;;
    esac
    for gop in 60 250; do
        base=$folder/$size-$gop.mp4
        [ -e "$base" ] || "$plans" make "$base" $width $size $gop $((500 / gop * gop)) $kbits
        for minutes in 1 10 60; do
            video=$folder/$size-$gop-$minutes.mp4
            [ -e "$video" ] || "$plans" loop "$base" "$video" $minutes
            "$plans" compare "$video" "$base" $((size == 360 || minutes == 1 ? 96 : 24)) 96
        done
    done
done
