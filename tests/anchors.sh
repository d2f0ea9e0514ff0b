#!/usr/bin/env bash
# A deployment on one machine whose checkpoints are vouched for from outside while it runs: a real witness (aics-witness) cosigns
# them, an authority of OpenSSL's stamps them. Then the log goes before other people's tools, and a bundle before both verifiers.
# usage: tests/anchors.sh CHANCERY      the binary
# The witness needs Python 3.12; without one it is said that nothing was run.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
chancery=$(realpath "${1:?usage: tests/anchors.sh CHANCERY}")
python=$("$root/tests/stack/stack.sh" python)
eval "$("$root/tests/stack/stack.sh" log-tools)" # aics
if [[ -z $aics ]]; then
  echo '== NOT RUN: there is no Python 3.12 or newer for the witness'
  exit 0
fi
export PYTHONDONTWRITEBYTECODE=1
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$work"' EXIT
cd "$work"
mkdir d

main() {
  "$chancery" key new anchors.example/log -o d/log.key >log.vkey
  authority
  witness
  settings
  run
  check
  echo 'anchors: cosigned, time-stamped, verified by others'
}

authority() {
  "$python" "$root/tests/oracle/authority.py" tsa >tsa.url &
  until [[ -s tsa.url ]]; do kill -0 $! && sleep 0.1; done
}

witness() {
  local tool port
  tool=$(dirname "$aics")/aics-witness
  port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  mkdir w
  "$tool" init -c w/witness.json --name witness.example/w --listen "127.0.0.1:$port" --db witness.db --key-file witness.key >w.vkey
  "$tool" add-log -c w/witness.json --origin anchors.example/log --vkey "$(cat log.vkey)"
  "$tool" serve -c w/witness.json 2>w.log &
  until curl -sf "http://127.0.0.1:$port/healthz" >/dev/null; do kill -0 $! && sleep 0.1; done
  printf 'log %s\nwitness w %s http://127.0.0.1:%s\nquorum w\n' "$(cat log.vkey)" "$(cat w.vkey)" "$port" >policy
}

settings() {
  cat >settings.toml <<TOML
[sealer]
segment_age_max_ms = 300
[log]
policy = "policy"
interval_ms = 300
witness_interval_ms = 500
timestamp_interval_ms = 500
[log.authorities.local]
url = "$(cat tsa.url)"
roots = "tsa/root.pem"
TOML
}

# Sends a few events, waits until they are enrolled and vouched for, and sends some more.
run() {
  "$chancery" up --dir d --listen 127.0.0.1:0 --config settings.toml 2>up.log &
  local up=$! url n
  until url=$(grep -o 'http://127[^ ]*' up.log); do kill -0 $up && sleep 0.1; done
  for n in 1 2 3; do
    curl -sf "$url/v1/events" --json '{"session_id": "s-'$n'", "kind": "user.message",
      "contents": [{"role": "user", "kind": "text", "text": "Where is my order?"}]}' >answer
    vouched $((2 * n)) || { cat up.log >&2; exit 1; }
  done
  kill -TERM $up
  wait $up
}

# vouched N: checkpoints of N sizes at least are cosigned or stamped, the newest both.
vouched() {
  local size
  for _ in $(seq 150); do
    size=$(printf %020d "$(sed -n 2p d/store/log/checkpoint 2>/dev/null || echo 0)")
    if [[ -e d/store/log/timestamps/$size/local.tsr ]] && ls d/store/log/cosignatures/"$size"/* >/dev/null 2>&1 &&
      (($(ls d/store/log/timestamps d/store/log/cosignatures | grep -c '^0') >= $1)); then return; fi
    sleep 0.2
  done
  return 1
}

check() {
  "$chancery" verify d --trust policy --roots tsa/root.pem --state state
  "$root/tests/log.sh" d d/log.vkey d/log.key tsa/root.pem
  "$chancery" prove session s-2 d -o s.zip --disclose all
  "$chancery" verify s.zip --trust policy --roots tsa/root.pem
  "$python" "$root/schemas/verify/verify.py" --trust policy --tsa-ca tsa/root.pem s.zip
}

main
