#!/usr/bin/env bash
# One scenario of the load driver against one server; one JSON line per repetition on standard output.
#
#   bench.sh SCENARIO [key=value ...]        SCENARIO: submit confirm paced dup duprace events latency listing drain ready
#
#   srv=pyralis|fftm       which server to start (pyralis)
#   url=http://host:port   drive a server that runs already instead; pid=N is its process
#   db=...                 pyralis: sqlite (default) or pg;  fftm: leveldb (default) or pg
#   conf=0                 confirmations required
#   flags="..."            the chain, in fftmserver's words: -block-time 100ms -history-blocks N -event-blocks N -events-per-block N
#                          -live-events N -send-delay 10ms
#   drv="..."              options of the driver, e.g. "-n 20000 -c 50 -signers 100"
#   reps=1                 repetitions, each on a fresh process and database (keep=1: the same database)
#   prof=NAME              CPU profile of the first repetition in $BENCH_WORK/profiles/NAME.pb.gz
#   fftm only: cfg=default|tuned sync=false inflight=N entry=true|false log=level pgbt=10ms
#
# BENCH_WORK is where binaries, data and results go; BENCH_PYRALIS the pyralis binary (built when unset).
set -u
here=$(cd "$(dirname "$0")" && pwd)
cd "$here" || exit 1
work=${BENCH_WORK:-${TMPDIR:-/var/tmp}/pyralis-bench}
export BENCH_WORK=$work
mkdir -p "$work/bin" "$work/results" "$work/profiles" "$work/run"
go build -o "$work/bin/" ./driver ./fftmserver || exit 1
pyralis=${BENCH_PYRALIS:-}
if [ -z "$pyralis" ]; then
  pyralis=$work/bin/pyralis
  (cd ../.. && go build -o "$pyralis" ./cmd/pyralis) || exit 1
fi

scenario=${1:?which scenario}
shift
srv=pyralis db='' conf=0 cfg=default sync=false inflight='' entry='' log='' flags='' drv='' reps=1 prof='' keep='' url='' pid='' profsecs=15 qlen='' pgbt=10ms
for kv in "$@"; do declare "${kv%%=*}=${kv#*=}"; done
external=$url
pgpid=0
port=5708
pprof=5799
run=$work/run
label="$srv db=${db:-default} conf=$conf ${flags:+chain:$flags}"
[ "$db" = pg ] && pgpid=$("$here/pg.sh")

clear_pg() {
  psql -q -h 127.0.0.1 -p 55477 -U perf postgres -c "drop database if exists $1" -c "create database $1" -c checkpoint >/dev/null 2>&1
}

start_fftm() {
  if [ "$cfg" = tuned ]; then
    : "${inflight:=5000}" "${entry:=true}" "${log:=error}" "${qlen:=1000}"
  else
    : "${inflight:=100}" "${entry:=false}" "${log:=info}" "${qlen:=50}"
  fi
  label="fftm db=${db:-leveldb} conf=$conf cfg=$cfg sync=$sync ${flags:+chain:$flags}"
  if [ -z "$keep" ]; then
    rm -rf "$run/ldb"
    [ "$db" = pg ] && clear_pg fftm
  fi
  cat > "$run/fftm.yaml" <<Y
api: {address: 127.0.0.1, port: $port}
debug: {enabled: false}
log: {level: $log}
confirmations: {required: $conf, fetchReceiptUponEntry: $entry, notificationQueueLength: $qlen, blockQueueLength: $qlen}
transactions: {handler: {name: simple, simple: {maxInFlight: $inflight}}}
persistence:
  type: $([ "$db" = pg ] && echo postgres || echo leveldb)
  leveldb: {path: $run/ldb, syncWrites: $sync}
  postgres:
    url: "postgres://perf@127.0.0.1:55477/fftm?sslmode=disable"
    txwriter: {batchTimeout: $pgbt}
    migrations: {auto: true, directory: $(go list -m -f '{{.Dir}}' github.com/hyperledger/firefly-transaction-manager)/db/migrations/postgres}
Y
  # shellcheck disable=SC2086 # flags are words
  "$work/bin/fftmserver" -f "$run/fftm.yaml" -pprof 127.0.0.1:$pprof $flags > "$run/server.log" 2>&1 &
  pid=$!
}

start_pyralis() {
  label="pyralis db=${db:-sqlite} conf=$conf ${flags:+chain:$flags}"
  local -a env=(PYRALIS_API_PORT=$port PYRALIS_STORE_SQLITE_PATH="$run/pyralis" PYRALIS_DEVLEDGER_DURABLE=false PYRALIS_DEVLEDGER_MAXBLOCKTRANSACTIONS=100000
    PYRALIS_LOG_LEVEL="${log:-warn}" PYRALIS_DEBUG_ENABLED=true PYRALIS_DEBUG_PORT=$pprof PYRALIS_CONFIRMATIONS_REQUIRED="$conf"
    PYRALIS_TRANSACTIONS_MAXPENDING=10000000)
  # Without -block-time memchain makes no blocks; an hour is as long as the dev ledger waits.
  case " $flags " in *' -block-time '*) ;; *) env+=(PYRALIS_DEVLEDGER_BLOCKPERIOD=1h) ;; esac
  [ "$conf" != 0 ] && env+=(PYRALIS_DEVLEDGER_FINALITY=confirmations)
  # shellcheck disable=SC2086 # flags are words
  set -- $flags
  while [ $# -gt 1 ]; do
    case $1 in
      -block-time) env+=(PYRALIS_DEVLEDGER_SYNTHETIC_BLOCKPERIOD="$2") ;;
      -history-blocks) env+=(PYRALIS_DEVLEDGER_SYNTHETIC_HISTORYBLOCKS="$2") ;;
      -event-blocks) env+=(PYRALIS_DEVLEDGER_SYNTHETIC_EVENTBLOCKS="$2") ;;
      -events-per-block) env+=(PYRALIS_DEVLEDGER_SYNTHETIC_EVENTSPERBLOCK="$2") ;;
      -live-events) env+=(PYRALIS_DEVLEDGER_SYNTHETIC_LIVEEVENTSPERBLOCK="$2") ;;
      -send-delay) env+=(PYRALIS_DEVLEDGER_SENDDELAY="$2") ;;
      *) echo "unknown chain flag $1" >&2; exit 1 ;;
    esac
    shift 2
  done
  [ -z "$keep" ] && rm -rf "$run/pyralis"
  if [ "$db" = pg ]; then
    [ -z "$keep" ] && clear_pg pyralis
    env+=(PYRALIS_STORE_TYPE=postgres PYRALIS_STORE_POSTGRES_URL="postgres://perf@127.0.0.1:55477/pyralis?sslmode=disable")
  fi
  env "${env[@]}" "$pyralis" dev > "$run/server.log" 2>&1 &
  pid=$!
}

for r in $(seq "$reps"); do
  if [ -z "$external" ]; then
    url=http://127.0.0.1:$port
    sync # what the repetition before left to be written must not be written during this one
    "start_$srv"
    if ! "$work/bin/driver" -scenario ready -url "$url" -pid "$pid" -timeout 60s > "$run/ready.json"; then
      tail -5 "$run/server.log" >&2
      exit 1
    fi
  fi
  profile=()
  [ -n "$prof" ] && [ "$r" = 1 ] && profile=(-pprof http://127.0.0.1:$pprof -profile "$work/profiles/$prof.pb.gz" -profile-secs "$profsecs")
  if [ "$scenario" = ready ] && [ -z "$external" ]; then
    cat "$run/ready.json"
  else
    # shellcheck disable=SC2086 # drv is words
    "$work/bin/driver" -scenario "$scenario" -url "$url" -pid "${pid:-0}" -pgpid "$pgpid" -label "$label" $drv "${profile[@]}"
  fi | tee -a "$work/results/all.jsonl"
  if [ -z "$external" ]; then
    kill "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
  fi
done
