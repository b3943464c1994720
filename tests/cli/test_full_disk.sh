# A disk that fills stops a run with one sentence; every answer before it is there, the store opens, and the same command continues once
# there is room. Twice: at a limit on file sizes, which anybody can set, and on a small file system, where one may be mounted.
if [ -z "${OWN_MOUNTS-}" ] && unshare --map-root-user --mount true 2>/dev/null; then
    OWN_MOUNTS=1 exec unshare --map-root-user --mount bash "$0" "$@"
fi
. "$(dirname "$0")/lib.sh"

write_manifest manifest.json 3 demo-1 demo-2 demo-3 demo-4
write_sweep sweep.yaml 3 f32 <<<'
    - none
    - {name: dyntok, threshold: [0.4, 0.6]}
    - {name: dyntok, target_ratio: 0.5}'
answers=$((4 * 4 * 3))

assert_status 0 run sweep.yaml --store whole
dump_answers whole >whole.txt
assert_status 0 run sweep.yaml --store first --samples demo-1-1 --samples demo-1-2 --samples demo-1-3
sqlite3 first 'PRAGMA wal_checkpoint(TRUNCATE)' >/dev/null
before=$(query first 'SELECT count(*) FROM answer')
assert_equal 'answers before the disk is full' 12 "$before"

# Answers of the first run, as the rows of a store that has others too.
dump_first() # STORE
{
    dump_answers "$1" | grep '|demo-1-'
}
dump_first first >first.txt

# The run into this store came to an end for want of room; with room it goes on.
assert_stopped_for_room() # STORE WHERE
{
    assert_contains err "store '$1'" 'every answer committed before is kept: make room, or correct the disk, and run again'
    assert_intact "$1"
    dump_first "$1" >found.txt
    assert_same_file "answers from before, $2" first.txt found.txt
    assert_query "$1" 0 'SELECT count(*) FROM answer WHERE failed'
}

assert_continues() # STORE WHERE
{
    assert_status 0 run sweep.yaml --store "$1"
    assert_intact "$1"
    dump_answers "$1" >found.txt
    assert_same_file "answers after there was room, $2" whole.txt found.txt
}

# Holds a run into a store with little room against all of the above.
judge() # STORE STATUS WHERE
{
    local store=$1 status=$2 where=$3
    case $status in
    0)
        assert_equal "answers of a run that had $where" $answers "$(query "$store" 'SELECT count(*) FROM answer')"
        ;;
    3)
        stopped=$((stopped + 1))
        assert_equal "errors with $where" 1 "$(grep -c '^error: ' err)"
        assert_stopped_for_room "$store" "$where"
        [ "$(query "$store" 'SELECT count(*) FROM answer')" -eq "$before" ] || progressed=$((progressed + 1))
        ;;
    *) fail "$where: expected status 0 or 3, found $status: $(cat err)" ;;
    esac
}

assert_both_ways()
{
    [ $stopped -ge 3 ] || fail "only $stopped runs found too little room"
    [ $progressed -ge 1 ] || fail "no run found too little room after an answer"
}

# ---- a limit on file sizes --------------------------------------------------------------------------------------------------

stopped=0 progressed=0
for room in 4 40 80 140 300; do
    cp first limited
    (ulimit -f $room && exec "$toksweep" run sweep.yaml --store limited >out 2>err </dev/null)
    judge limited $? "files of at most $room KiB"
    assert_continues limited "files of at most $room KiB"
    rm -f limited limited-*
done
assert_both_ways

# ---- a small file system ----------------------------------------------------------------------------------------------------

mkdir disk
mount -t tmpfs -o size=4M tmpfs disk 2>/dev/null || {
    echo 'no file system may be mounted here: the part with a full one is left out'
    exit 0
}
trap 'umount disk; rm -rf "$folder"' EXIT
stopped=0 progressed=0
for room in 0 20 60 200 300; do
    cp first disk/store
    left=$(df --output=avail -B 1024 disk | tail -1)
    head -c $(((left - room) * 1024)) /dev/zero >disk/filler
    "$toksweep" run sweep.yaml --store disk/store >out 2>err </dev/null
    status=$?
    [ $room -lt 40 ] || "$toksweep" report disk/store >table 2>&1 || fail "no report from a full disk: $(cat table)" # SQLite needs 32 KiB
    rm disk/filler
    judge disk/store $status "$room KiB on the disk"
    assert_continues disk/store "$room KiB on the disk"
    rm disk/*
done
assert_both_ways
