# Killed at any moment, a run loses nothing but the answers in flight: started again it ends with the store of an uninterrupted run.
# A signal stops it cleanly, and two processes on one store share the work.
. "$(dirname "$0")/lib.sh"

kills=20
RANDOM=2506 # seeded: the same moments in every run of this test

write_sweep sweep.yaml '[3, 4]' f32 <<<'
    - none
    - {name: dyntok, threshold: [0.4, 0.6]}
    - {name: dyntok, target_ratio: 0.5}'

start_run() # STORE OPTION...
{
    local store=$1
    shift
    "$toksweep" run sweep.yaml --store "$store" --threads 1 "$@" >"$store.out" 2>"$store.err" </dev/null &
}

milliseconds()
{
    local now=$EPOCHREALTIME
    echo $(((${now%.*} * 1000000 + 10#${now#*.}) / 1000))
}

assert_whole() # STORE
{
    assert_intact "$1"
    assert_query "$1" $answers 'SELECT count(*) FROM answer WHERE NOT failed'
    assert_query "$1" 0 'SELECT count(*) FROM claim JOIN run ON run.id = run_id WHERE ended_at IS NOT NULL'
    dump_answers "$1" >"$1.txt"
    assert_same_file "$1" whole.txt "$1.txt"
}

run_whole() # VIDEO...
{
    write_manifest manifest.json 3 "$@"
    answers=$((2 * 4 * $# * 3))
    rm -f whole
    assert_status 0 run sweep.yaml --store whole --jobs 1 --threads 1
}

started=$(milliseconds)
run_whole demo-1 demo-2 demo-3 demo-4
[ $(($(milliseconds) - started)) -lt 10000 ] || run_whole demo-1 # a sanitizer's build: less work, so that the test ends
dump_answers whole >whole.txt
assert_query whole $answers 'SELECT count(*) FROM answer WHERE NOT failed'

# ---- kill -9 ----------------------------------------------------------------------------------------------------------------

started=$(milliseconds)
assert_status 0 run sweep.yaml --store timed --jobs 2 --threads 1 --no-share
longest=$(($(milliseconds) - started))

killed=0 finished=0 progressed=0
store=killed.0
while [ $killed -lt $kills ] || [ $finished -eq 0 ]; do
    before=0
    [ ! -s $store ] || before=$(query $store "SELECT count(*) FROM sqlite_master WHERE name = 'answer'")
    [ "$before" -eq 0 ] || before=$(query $store 'SELECT count(*) FROM answer')
    start_run $store --jobs 2 $([ $((RANDOM % 2)) -eq 0 ] || echo --no-share)
    pid=$!
    if [ $killed -lt $kills ]; then
        moment=$((RANDOM % (longest / 8) + 1))
        sleep $((moment / 1000)).$(printf %03d $((moment % 1000)))
        kill -9 $pid 2>/dev/null
    fi
    wait $pid 2>/dev/null
    status=$?
    [ -e $store ] || continue
    assert_intact $store
    case $status in
    0) # it was done before its moment came: the next kills hit a new store
        assert_whole $store
        finished=$((finished + 1))
        store=killed.$finished
        ;;
    137)
        killed=$((killed + 1))
        after=$(query $store "SELECT count(*) FROM sqlite_master WHERE name = 'answer'")
        [ "$after" -eq 0 ] || after=$(query $store 'SELECT count(*) FROM answer')
        [ "$after" -ge "$before" ] || fail "kill $killed lost answers: $before before, $after after"
        [ "$after" -eq "$before" ] || progressed=$((progressed + 1))
        ;;
    *) fail "expected the run to be killed or done, found status $status: $(cat $store.err)" ;;
    esac
done
[ $progressed -gt 0 ] || fail "no kill came between the first answer and the last"

# ---- SIGINT -----------------------------------------------------------------------------------------------------------------

await() # COMMAND...
{
    local end=$((SECONDS + 120))
    until "$@"; do
        [ $SECONDS -lt $end ] || fail "within two minutes, this did not come true: $*"
        sleep 0.02
    done
}

has_answers() # STORE N
{
    [ -s "$1" ] && [ "$(sqlite3 "$1" 'SELECT count(*) FROM answer' 2>/dev/null || echo 0)" -ge "$2" ]
}

for signal in INT TERM; do
    start_run $signal --jobs 1 --no-share
    pid=$!
    await has_answers $signal 2
    kill -s $signal $pid
    wait $pid
    assert_equal "status after SIG$signal" 3 $?
    assert_contains $signal.err 'stopped; every answer so far is in' 'the same command continues'
    assert_intact $signal
    assert_query $signal stopped 'SELECT outcome FROM run WHERE ended_at IS NOT NULL'
    assert_query $signal '0|0' 'SELECT (SELECT count(*) FROM claim), (SELECT count(*) FROM answer WHERE failed)'
    kept=$(query $signal 'SELECT count(*) FROM answer')
    [ "$kept" -lt $answers ] || fail "SIG$signal came too late to stop anything"
    assert_status 0 run sweep.yaml --store $signal --jobs 2 --threads 1
    assert_contains err "$((answers - kept)) answers to compute, $kept in the store"
    assert_whole $signal
done

# ---- two processes on one store ---------------------------------------------------------------------------------------------

start_second() # STORE
{
    "$toksweep" run sweep.yaml --store "$1" --threads 1 --jobs 1 --no-share >"$1.second.out" 2>"$1.second.err" </dev/null &
}

assert_ended() # PID STATUS LOG
{
    local status
    wait "$1" 2>/dev/null
    status=$?
    assert_equal "status of a process that said '$(cat "$3")'" "$2" $status
}

computed_by() # LOG
{
    sed -n 's/^computed \([0-9]*\) answers .*/\1/p' "$1"
}

start_run both --jobs 1 --no-share
first=$!
start_second both
second=$!
assert_ended $first 0 both.err
assert_ended $second 0 both.second.err
assert_whole both
assert_equal 'answers computed by two processes' $answers $(($(computed_by both.err) + $(computed_by both.second.err)))
assert_query both 2 "SELECT count(*) FROM run_cost WHERE outcome = 'done' AND n_answers > 0"

# One stands still with work in its hands: the other does the rest and waits, and takes that work over when the first one dies.
start_run orphaned --jobs 1 --no-share
first=$!
await has_answers orphaned 2
until kill -STOP $first && sqlite3 orphaned 'BEGIN IMMEDIATE; ROLLBACK' 2>/dev/null; do
    kill -CONT $first # it stood still while it wrote
    sleep 0.01
done
held=$(query orphaned 'SELECT count(*) FROM claim')
[ "$held" -gt 0 ] || fail "a run in progress holds nothing"
start_second orphaned
second=$!
await grep -qs 'another process computes .* waiting for them' orphaned.second.err
kill -9 $first
assert_ended $first 137 orphaned.err
assert_ended $second 0 orphaned.second.err
assert_whole orphaned
