#!/usr/bin/env bash
# End to end, the long way: every test that needs servers, with one Kafka broker and with three, TLS and SASL, a schema
# registry, and each of three S3 servers; then looks whether anything is still running. CI runs a part of it.
# usage: tests/e2e.sh [S3…]      S3 is seaweedfs, minio or versity [default: all three]
# CHANCERY_KILLS is the number of kills in each run of random ones [default: 12], CHANCERY_SEED repeats one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Whatever is started from here has this in its environment.
export CHANCERY_E2E=$$-$RANDOM
servers=("$@")
if ((${#servers[@]} == 0)); then servers=(seaweedfs minio versity); fi

main() {
  trap nothing_left EXIT
  local s3
  for s3 in "${servers[@]}"; do step "$s3: fetch" tests/stack/stack.sh fetch --s3 "$s3" --registry; done
  step build tests --no-run
  for s3 in "${servers[@]}"; do
    step "$s3: what it does" stack "$s3" python3 tests/stack/differences.py
    step "$s3: store, tampering, doctor, resuming, the whole pipeline, Kafka away, registry, TLS and SASL" \
      stack "$s3" cargo test --workspace --features chancery/services --test it -- \
      services away bucket doctor registry resume secure storage
    # Each of these has servers of its own, three brokers among them, and kills them.
    CHANCERY_TEST_S3_KIND=$s3 step "$s3: breaking" tests -- breaking proxy --nocapture
  done
  echo "== all passed in $SECONDS s"
}

# stack S3 COMMAND…: with all that a test may ask for.
stack() {
  tests/stack/stack.sh run --s3 "$1" --secure --registry -- "${@:2}"
}

tests() {
  cargo test --workspace --features chancery/services --test it "$@"
}

# step NAME COMMAND…
step() {
  local from=$SECONDS
  echo "== $1"
  "${@:2}" || {
    echo "== $1: FAILED" >&2
    return 1
  }
  echo "== $1: ok, $((SECONDS - from)) s"
}

# Fails where a process that was started from here still runs.
nothing_left() {
  local status=$? pid left=0
  for pid in $(grep -lsz "^CHANCERY_E2E=$CHANCERY_E2E$" /proc/[0-9]*/environ | cut -d / -f 3); do
    ps -o pid=,args= -p "$pid" && left=1 # not of this very look, which has ended
  done
  if ((left)); then
    echo '== the processes above still run' >&2
    exit 1
  fi
  echo '== nothing is left running'
  exit "$status"
}

main
