#!/usr/bin/env bash
# Pyralis and FFTM in turn, in one go: `run.sh` runs the main scenarios, `run.sh submit events` only those, `run.sh streams` all of event
# streams. REPS (3) repetitions of each, SCALE (1) divides the amount of work. Medians at the end; the JSON lines stay in
# $BENCH_WORK/results/run.jsonl.
set -u
cd "$(dirname "$0")" || exit 1
export BENCH_WORK=${BENCH_WORK:-${TMPDIR:-/var/tmp}/pyralis-bench}
mkdir -p "$BENCH_WORK/results"
out=$BENCH_WORK/results/run.jsonl
: > "$out"
reps=${REPS:-3}
scale=${SCALE:-1}
n=$((1000000 / scale)) # events
[ $# -gt 0 ] || set -- submit confirm events latency listing

streams="events events-confirmed events-ten events-listeners events-many-listeners events-window latency latency-default"
read -ra expanded <<< "${*//streams/$streams}"
set -- "${expanded[@]}"

past() { # past EVENTS: the chain's past with so many events, 200 to a block
  echo "-history-blocks $(($1 / 200 + 10)) -event-blocks $(($1 / 200))"
}

both() { # both SCENARIO key=value...: one repetition of each server after the other, so that both meet the same noise
  for _ in $(seq "$reps"); do
    for srv in fftm pyralis; do
      ./bench.sh "$@" srv=$srv >> "$out" || exit 1
    done
  done
}

for scenario in "$@"; do
  echo "== $scenario" >&2
  case $scenario in
    submit) both submit drv="-n $((20000 / scale)) -c 50 -signers 100" ;;
    submit-sync) both submit sync=true drv="-n $((20000 / scale)) -c 50 -signers 100" ;; # FFTM with its disk synced, as ours always is
    submit-pg) both submit db=pg drv="-n $((20000 / scale)) -c 50 -signers 100" ;;
    confirm) both confirm flags="-block-time 100ms" cfg=tuned drv="-n $((20000 / scale)) -c 50" ;;
    confirm-pg) both confirm db=pg flags="-block-time 100ms" cfg=tuned drv="-n $((10000 / scale)) -c 50" ;;
    confirm-pg-default) both confirm db=pg flags="-block-time 100ms" drv="-n $((1000 / scale)) -c 50" ;;
    sends) both confirm flags="-block-time 100ms -send-delay 10ms" cfg=tuned drv="-n $((5000 / scale)) -c 50 -signers 100" ;;
    restart) # ready again with many transactions in flight: nothing ever gets into a block here
      for _ in $(seq "$reps"); do
        ./bench.sh submit srv=pyralis drv="-n $((100000 / scale)) -c 50 -signers 100" >> "$out" || exit 1
        ./bench.sh ready srv=pyralis keep=1 >> "$out" || exit 1
      done ;;
    million) # so many accepted, none of which gets into a block, and looked at by one client
      for _ in $(seq "$reps"); do
        ./bench.sh submit srv=pyralis drv="-n $((1000000 / scale)) -c 50 -signers 100 -timeout 900s" >> "$out" || exit 1
        ./bench.sh listing srv=pyralis keep=1 drv="-n $((2000 / scale)) -c 1" >> "$out" || exit 1
      done ;;
    events) both events flags="$(past $n)" drv="-n $n -batch 500" ;;
    events-confirmed) both events conf=5 flags="$(past $n)" drv="-n $n -batch 500" ;;
    events-ten) both events flags="$(past $((n / 10)))" drv="-n $((n / 10)) -batch 500 -streams 10" ;;
    events-listeners) both events flags="$(past $n)" drv="-n $n -batch 500 -listeners 100" ;;
    events-many-listeners) both events flags="$(past $n)" drv="-n $n -batch 500 -listeners 1000" ;;
    events-window) # a client that needs 10 ms for each batch of 50 events
      both events flags="$(past $((n / 10)))" drv="-n $((n / 10)) -batch 50 -window 8 -ack-delay 10ms" ;;
    latency-default) both latency flags="-block-time 10ms -live-events 10" drv="-dur $((10 / scale > 2 ? 10 / scale : 2))s -batch-timeout=" ;; # the server's own
    latency) both latency flags="-block-time 10ms -live-events 10" drv="-dur $((10 / scale > 2 ? 10 / scale : 2))s -batch 50 -batch-timeout 5ms" ;;
    fabric-replay) REPS=$reps N=$((30000 / scale)) ./fabric.sh replay >> "$out" || exit 1 ;;
    fabric-submit) REPS=$reps N=$((5000 / scale)) ./fabric.sh submit >> "$out" || exit 1 ;;
    listing)
      for _ in $(seq "$reps"); do
        for srv in fftm pyralis; do
          ./bench.sh submit srv=$srv drv="-n $((20000 / scale)) -c 50 -signers 100" > /dev/null || exit 1
          ./bench.sh listing srv=$srv keep=1 drv="-n $((2000 / scale)) -c 1" >> "$out" || exit 1
        done
      done ;;
    *) echo "unknown scenario $scenario" >&2; exit 1 ;;
  esac
done
python3 table.py "$out"
