# The tiny world on disk: the same for any number of jobs, gone on with where it was stopped, put right where it was damaged, and a benchmark.
. "$(dirname "$0")/lib.sh"

name=tinyworld-v1
assert_status 0 world smoke --cache one --jobs 1
assert_contains err '21 videos rendered, 0 were there'
printf '%s\n' "manifest  one/$name/smoke.json" "shuffled  one/$name/smoke-shuffled.json" "blank     one/$name/smoke-blank.json" \
    "videos    one/$name/videos" >expected
assert_same_file 'where it is' expected out
sort "one/$name/videos/SHA256SUMS" >one.sums
(cd "one/$name/videos" && sha256sum --quiet -c SHA256SUMS 2>/dev/null) || fail 'the list of digests is not that of the videos'
XDG_CACHE_HOME=$folder/xdg "$toksweep" world smoke --jobs 4 >out 2>err || fail "world into XDG_CACHE_HOME: $(cat err)"
sort "xdg/toksweep/$name/videos/SHA256SUMS" >four.sums
assert_same_file 'digests with one job and with four' one.sums four.sums

# A file that is gone, one that is damaged, and one whose line was cut off are made again, and come out the same.
sum=$(sha256sum <one/$name/videos/tw00003.mp4)
rm one/$name/videos/tw00003.mp4
printf x >>one/$name/videos/tw00007.mp4
last=$(tail -n 1 one/$name/videos/SHA256SUMS)
sed -i '$d' one/$name/videos/SHA256SUMS
printf '%s' "${last:0:40}" >>one/$name/videos/SHA256SUMS
assert_status 0 world smoke --cache one
assert_contains err '3 videos rendered, 18 were there'
assert_equal 'a video made again' "$sum" "$(sha256sum <one/$name/videos/tw00003.mp4)"
assert_status 0 world smoke --cache one
assert_contains err '0 videos rendered, 21 were there'

# Killed on the way: what was listed stays.
"$toksweep" world default --cache killed >/dev/null 2>&1 &
for _ in $(seq 200); do
    [ "$(grep -c mp4 killed/$name/videos/SHA256SUMS 2>/dev/null)" -ge 3 ] && break
    sleep 0.05
done
kill -9 $! 2>/dev/null
wait $! 2>/dev/null
listed=$(grep -c 'mp4$' killed/$name/videos/SHA256SUMS)
assert_status 0 world smoke --cache killed
kept=$(sed -n 's/.*rendered, \([0-9]*\) were there$/\1/p' err)
[ "$kept" -ge 3 ] && [ "$kept" -le "$listed" ] || fail "$kept videos were kept of $listed that were listed"
for video in tw00000 tw00019 blank; do
    cmp -s "one/$name/videos/$video.mp4" "killed/$name/videos/$video.mp4" || fail "$video.mp4 is another after a kill"
done

# A benchmark like any other.
for which in smoke smoke-shuffled smoke-blank; do
    assert_status 0 check manifest videomme one/$name/$which.json --videos one/$name/videos
done
cat >sweep.yaml <<END
runner: mock
axes: { benchmark: { name: videomme, manifest: one/$name/smoke.json, videos: one/$name/videos }, frames: 4, compressor: none }
END
assert_status 0 run sweep.yaml --store mock.sqlite
assert_query mock.sqlite '160|20|9' 'SELECT count(*), count(DISTINCT video_id), count(DISTINCT task_type) FROM sample'

# A benchmark by name, which a run makes where it is not.
cat >named.yaml <<'END'
runner: mock
axes: { benchmark: tinyworld_smoke, frames: 4, compressor: none }
END
assert_status 0 plan named.yaml
assert_status 0 run named.yaml --cache one --store named.sqlite
[ ! -s err ] || ! grep -q rendered err || fail "what was there was rendered: $(cat err)"
assert_query named.sqlite 'tinyworld_smoke|160' 'SELECT benchmark.name, count(*) FROM sample JOIN benchmark ON benchmark.id = benchmark_id'
assert_status 0 run named.yaml --cache two --store named.sqlite
assert_contains err '21 videos of the tiny world rendered'
assert_query named.sqlite 160 'SELECT count(*) FROM answer'

assert_error 2 "no tier 'smok'|smoke (160 questions), quick (480), default (2,000) and full (8,000)" world smok
assert_error 2 '--jobs should be a whole number from 1 to 1024' world smoke --jobs 0
touch file
assert_error 3 'file/tinyworld-v1' world smoke --cache file
unset HOME
assert_error 2 'neither XDG_CACHE_HOME nor HOME|--cache FOLDER' world smoke
