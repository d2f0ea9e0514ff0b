#!/usr/bin/env bash
# Runs agents of real SDKs against a model that answers with recordings, and checks what was captured of them.
#
#   run.sh --binary PATH DATA [--only NAME…]   start `PATH up` in a temporary folder, run the agents, export, check
#   run.sh --otlp URL DATA [--only NAME…]      only run the agents; they export to URL
#   run.sh --list                              print the names of the agents
#   run.sh --fetch                             only install what is missing
#
# DATA holds llm-http-cassettes/exchanges.jsonl. `--keep FOLDER` keeps what the agents and `up` wrote;
# `--doors otlp|llm_proxy|mcp_proxy…` says which doors of `up` are used [default: all, at the same time].
# SDKs are kept in ${XDG_CACHE_HOME:-$HOME/.cache}/chancery/capture, in a folder for each list of versions.
# Needs Python 3.10 or newer with venv, Node 20 or newer with npm, and Linux on x86-64.
set -euo pipefail
shopt -s inherit_errexit

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/chancery/capture

# folder NAME FILE: where what FILE pins is kept; another FILE, another folder.
folder() {
  echo "$cache/$1-$(cksum <"$here/$2" | cut -d ' ' -f 1)"
}

# environment NAME FILE: a Python environment with what FILE lists; prints its folder.
environment() {
  local made
  made=$(folder "$1" "$2")
  if [[ ! -e $made/complete ]]; then
    rm -rf "$made"
    python3 -m venv "$made" >&2
    "$made/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/$2" >&2
    touch "$made/complete"
  fi
  echo "$made"
}

# The packages of package-lock.json; prints their folder.
node_folder() {
  local made
  made=$(folder node package-lock.json)
  if [[ ! -e $made/complete ]]; then
    rm -rf "$made"
    mkdir -p "$made"
    cp "$here"/package{,-lock}.json "$made"
    npm ci --prefix "$made" --ignore-scripts --no-audit --no-fund --silent >&2
    touch "$made/complete"
  fi
  echo "$made"
}

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
CAPTURE_MAIN=$(environment main requirements.txt)
CAPTURE_OTEL=$(environment otel otel.txt)
CAPTURE_OTEL_V2=$(environment otel-v2 otel-v2.txt)
CAPTURE_ADK=$(environment adk adk.txt)
CAPTURE_NODE=$(node_folder)
exec 9>&-
export CAPTURE_MAIN CAPTURE_OTEL CAPTURE_OTEL_V2 CAPTURE_ADK CAPTURE_NODE PYTHONDONTWRITEBYTECODE=1
if [[ ${1-} == --fetch ]]; then exit; fi
exec "$CAPTURE_MAIN/bin/python" "$here/run.py" "$@"
