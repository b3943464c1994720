# A start: what is not needed is not opened, and a checkpoint is hashed once.
. "$(dirname "$0")/lib.sh"

LD_TRACE_LOADED_OBJECTS=1 "$toksweep" >linked 2>/dev/null
assert_contains linked libsqlite3 # the list is one
! grep -E 'libav(codec|format|util)|libswscale|libcurl' linked || fail 'a start opens what only videos and servers need'

# Without FFmpeg: whatever needs no video works, and the first video ends a run; no answer is a failure of its video.
mkdir lib
for library in avutil avcodec avformat swscale; do
    for version in $(seq 2 99); do
        echo 'no library' >lib/lib$library.so.$version
    done
done
write_manifest manifest.json 1 demo-1
write_sweep sweep.yaml 4 f32 <<<'    none'
without="env LD_LIBRARY_PATH=$folder/lib"
$without "$toksweep" plan sweep.yaml >out 2>err || fail "plan without FFmpeg: $(cat err)"
$without "$toksweep" run sweep.yaml --store without.sqlite >out 2>err
assert_equal 'status of a run without FFmpeg' 3 $?
assert_contains err 'error: ' 'reading or writing pictures and videos needs the library libavutil.so.' 'install the package libavutil'
assert_query without.sqlite 0 'SELECT count(*) FROM answer'

# A digest is remembered, found in the list, and made anew when the file has changed, whatever its times say.
cp -rp "$model" copy
rm -f .cache/toksweep/digests
assert_status 0 check checkpoint copy
sed -n 's/^digest *//p' out >first
assert_equal 'digests remembered' 1 "$(grep -c . .cache/toksweep/digests)"
cp .cache/toksweep/digests kept
sed -i 's/ [0-9a-f]*$/ 0000000000000000000000000000000000000000000000000000000000000000/' .cache/toksweep/digests
assert_status 0 check checkpoint copy
[ "$(sed -n 's/^digest *//p' out)" != "$(cat first)" ] || fail 'a remembered digest is not used'
cp kept .cache/toksweep/digests
touch -r copy/model.safetensors times
printf x | dd of=copy/model.safetensors bs=1 seek=$(($(stat -c %s copy/model.safetensors) - 1)) conv=notrunc status=none
touch -r times copy/model.safetensors
assert_status 0 check checkpoint copy
[ "$(sed -n 's/^digest *//p' out)" != "$(cat first)" ] || fail 'a file that has changed keeps its digest'
assert_equal 'digests remembered' 2 "$(grep -c . .cache/toksweep/digests)"
