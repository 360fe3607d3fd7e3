#!/usr/bin/env bash
# Pyralis in front of a real Fabric network of one organisation, and a bare fabric-gateway client, in turn. One JSON line per repetition on standard
# output.
#
#   fabric.sh replay|submit        REPS (3) pairs; N events to replay (30000), or transactions to submit (5000); C clients (200)
#
# The network is test/fabricnet, in $BENCH_WORK/fabric: it stays for the next run, with its ledger, and is down in between. BENCH_WORK and BENCH_PYRALIS
# are as in bench.sh.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=${BENCH_WORK:-${TMPDIR:-/var/tmp}/pyralis-bench}
mkdir -p "$work/bin" "$work/run"
scenario=${1:?replay or submit}
case $scenario in replay | submit) ;; *) echo "unknown scenario $scenario" >&2; exit 1 ;; esac
(cd "$here/fabric" && go build -o "$work/bin/fabric" .)
(cd "$root" && go build -o "$work/bin/fabricnet" ./test/fabricnet/cmd/fabricnet)
pyralis=${BENCH_PYRALIS:-}
if [ -z "$pyralis" ]; then
  pyralis=$work/bin/pyralis
  (cd "$root" && go build -o "$pyralis" ./cmd/pyralis)
fi
net=$work/fabric
url=http://127.0.0.1:5708
clients=${C:-200}
pid=''

stop_pyralis() {
  [ -z "$pid" ] || { kill "$pid" && wait "$pid" || true; } 2>/dev/null
  pid=''
}
finish() {
  stop_pyralis
  "$work/bin/fabricnet" down --dir "$net" >&2
}
trap finish EXIT
trap 'exit 1' INT TERM

start_pyralis() { # with an empty store
  rm -rf "$work/run/pyralis"
  PYRALIS_API_PORT=5708 PYRALIS_STORE_SQLITE_PATH=$work/run/pyralis PYRALIS_LOG_LEVEL=warn "$pyralis" run -f "$net/pyralis.yaml" > "$work/run/server.log" 2>&1 &
  pid=$!
  for _ in $(seq 600); do
    curl -fs -o /dev/null "$url/status/ready" && return
    sleep 0.1
  done
  tail -5 "$work/run/server.log" >&2
  exit 1
}

(cd "$root" && "$work/bin/fabricnet" up --dir "$net") >&2
if [ "$scenario" = replay ]; then
  n=${N:-30000}
  if [ "$(cat "$net/bench-filled" 2>/dev/null || echo 0)" -lt "$n" ]; then
    "$work/bin/fabric" fill -network "$net" -n "$n" -c "$clients" >&2
    echo "$n" > "$net/bench-filled"
  fi
  "$work/bin/fabric" replay -network "$net" -n "$n" > /dev/null # the first one reads from the disk
else
  n=${N:-5000}
fi
for _ in $(seq "${REPS:-3}"); do
  "$work/bin/fabric" "$scenario" -network "$net" -n "$n" -c "$clients" -label bare
  start_pyralis
  "$work/bin/fabric" "$scenario-pyralis" -url "$url" -pid "$pid" -n "$n" -c "$clients" -label pyralis
  stop_pyralis
done
