#!/usr/bin/env bash
# A store's log before other people's tools: Go's golang.org/x/mod/sumdb, Tessera's fsck, aics-tlog, a witness (aics-witness) that
# cosigns it and refuses a forged split view, and openssl's time-stamps; the independent verifier reads what they said.
# usage: tests/log.sh STORE VKEYS [KEY [ROOTS]]
#   STORE   a folder with log/ in it, or with store/log/; it is copied, not written
#   VKEYS   a file of the log's verifier keys, one a line
#   KEY     the private key of the newest checkpoint: only with it can a split view be forged
#   ROOTS   roots, in PEM, of the time-stamps that the store has
# The witness needs Python 3.12; without one it is said that it was not run.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
usage='usage: tests/log.sh STORE VKEYS [KEY [ROOTS]]'
given=${1:?$usage} vkeys=$(realpath "${2:?$usage}") key=${3:+$(realpath "$3")} roots=${4:+$(realpath "$4")}
if [[ -d $given/store/log ]]; then given=$given/store; fi
python=$("$root/tests/stack/stack.sh" python)
tools=$("$root/tests/stack/stack.sh" log-tools)
eval "$tools" # go_fsck, go_oracle and aics
export PYTHONDONTWRITEBYTECODE=1
work=$(mktemp -d)
trap finish EXIT
store=$work/store log=$work/store/log
cp -R "$given" "$store"
passed=0 current=''

main() {
  newest >"$work/vkey"
  step 'golang.org/x/mod/sumdb' "$go_oracle" "$log" "$vkeys"
  step "Tessera's fsck" fsck
  if [[ -n $aics ]]; then
    step 'aics-tlog and aics-witness' witness
  else
    echo '== aics-tlog and aics-witness: NOT RUN, there is no Python 3.12 or newer'
  fi
  step 'openssl ts' timestamp
  step 'the independent verifier' verifier
  echo "$passed passed, 0 failed"
}

# step NAME COMMAND…
step() {
  local from=$SECONDS
  current=$1
  "${@:2}"
  echo "== $1: ok, $((SECONDS - from)) s"
  current=''
  passed=$((passed + 1))
}

finish() {
  local status=$?
  rm -rf "$work"
  if [[ -n $current ]]; then echo "== $current: FAILED" >&2; fi
  exit "$status"
}

# The verifier key that the newest checkpoint is signed with last.
newest() {
  "$python" - "$root/schemas/verify" "$log/checkpoint" "$vkeys" <<'PY'
import sys
sys.path.insert(0, sys.argv[1])
import note
last = note.parse_note(open(sys.argv[2], "rb").read())[1][-1]
print(next(key.text for key in map(note.parse_key, open(sys.argv[3]).read().split()) if key.id == last.id))
PY
}

fsck() {
  "$go_fsck" --storage_url="file://$log/" --public_key="$work/vkey" --ui=false >"$work/fsck" 2>&1 || {
    cat "$work/fsck" >&2
    return 1
  }
  grep -o 'Successfully.*' "$work/fsck"
}

# What it cosigns lies in the copy afterwards; the policy that wants its cosignature is for the verifier.
witness() {
  "$aics" "$root/tests/oracle/witness.py" "$store" "$vkeys" ${key:+"$key"} >"$work/said"
  {
    sed 's/^/log /' "$vkeys"
    sed -n 's/^policy\t//p' "$work/said"
    echo 'quorum local'
  } >"$work/policy"
}

# An authority of our own stamps the newest checkpoint, as any other would.
timestamp() {
  local size
  size=$(sed -n 2p "$log/checkpoint")
  size=$(printf %020d "$size")
  mkdir -p "$log/timestamps/$size" "$work/tsa"
  (
    cd "$work/tsa"
    cat >tsa.cnf <<'CNF'
[req]
distinguished_name = name
[name]
[ext]
extendedKeyUsage = critical, timeStamping
[tsa]
serial = serial
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
ess_cert_id_alg = sha256
CNF
    echo 01 >serial
    openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out ca.pem -subj '/CN=Local time' -days 2 -config tsa.cnf -extensions ext
    openssl ts -query -data "$log/checkpoints/$size" -sha256 -cert -out query
    openssl ts -reply -config tsa.cnf -section tsa -queryfile query -signer ca.pem -inkey key.pem -out reply
  ) 2>"$work/openssl" || {
    cat "$work/openssl" >&2
    return 1
  }
  cp "$work/tsa/reply" "$log/timestamps/$size/oracle.tsr"
  cat "$work/tsa/ca.pem" ${roots:+"$roots"} >"$work/roots"
  local path
  for path in "$log"/timestamps/*/*.tsr; do
    if [[ -z $roots && $path != */oracle.tsr ]]; then
      rm "$path"
      echo "${path#"$log/"}: NOT CHECKED, no roots were given"
      continue
    fi
    openssl ts -verify -data "$log/checkpoints/$(basename "$(dirname "$path")")" -in "$path" -CAfile "$work/roots" 2>&1 |
      grep '^Verification: OK'
  done
}

verifier() {
  local trust=$vkeys
  if [[ -e $work/policy ]]; then trust=$work/policy; fi
  "$python" "$root/schemas/verify/verify.py" --trust "$trust" --tsa-ca "$work/roots" "$store" >"$work/verified" || {
    cat "$work/verified" >&2
    return 1
  }
  grep '^log' "$work/verified"
}

main
