#!/usr/bin/env bash
# Recorded exchanges with model APIs, read twice: by `capture` and by a script that shares nothing with it. Every body must be
# rebuilt byte for byte, and every model, token, reason, text and call of a tool must be equal.
# usage: tests/capture/exchanges.sh [DATA]     DATA holds llm-http-cassettes/exchanges.jsonl
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
data=${1:-${CHANCERY_DATA:-$root/../shared/data}}/llm-http-cassettes/exchanges.jsonl
if [ ! -e "$data" ]; then
    echo "NOT RUN: there are no recorded exchanges at $data" >&2
    exit 2
fi
reading="python3 $root/tests/capture/reading.py"
exchanges=${EXCHANGES-} # the example, where it is built already
if [ -z "$exchanges" ]; then
    cargo build --quiet -p capture --example exchanges --manifest-path "$root/Cargo.toml"
    exchanges=${CARGO_TARGET_DIR:-$root/target}/debug/examples/exchanges
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
$reading feed "$data" >"$work/fed"
"$exchanges" <"$work/fed" >"$work/read"
$reading check "$data" <"$work/read"

echo "== a difference is found"
sed '1s/"usage_input_tokens":[0-9]*/"usage_input_tokens":9999/' "$work/read" >"$work/planted"
if cmp -s "$work/read" "$work/planted" || $reading check "$data" <"$work/planted" >"$work/found" 2>&1; then
    echo "a planted difference was not found" >&2
    exit 1
fi
grep -m1 9999 "$work/found"
