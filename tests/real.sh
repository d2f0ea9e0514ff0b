#!/usr/bin/env bash
# Real agent sessions through the whole pipeline, on one machine and over Kafka and S3, and back again, message for message;
# the independent verifier reads every segment, and DuckDB queries them.
# usage: tests/stack/stack.sh run -- tests/real.sh DATA     DATA holds tau-bench/gpt-4o-airline.json
set -euo pipefail

data=$(cd "${1:?usage: tests/real.sh DATA}" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
python=$("$root/tests/stack/stack.sh" python)
cargo build --quiet --features services --manifest-path "$root/Cargo.toml"
chancery=${CARGO_TARGET_DIR:-$root/target}/debug/chancery
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$work"' EXIT
cd "$work"
export XDG_STATE_HOME=$work/state

"$python" "$root/tests/tau_bench.py" "$data" >sessions.jsonl
sessions=$(wc -l <sessions.jsonl)

same() { # exported lines: every message equal, in order, and every other key
    "$python" - "$1" <<'PY'
import json, sys
read = lambda path: {line["session_id"]: line for line in map(json.loads, open(path))}
given, got = read("sessions.jsonl"), read(sys.argv[1])
assert given == got, [k for k in given if given[k] != got.get(k)][:3]
print(f"{sys.argv[1]}: {len(got)} sessions, {sum(len(s['messages']) for s in got.values())} messages, all equal")
PY
}

echo "== one machine: $sessions sessions"
"$chancery" import openai-chat sessions.jsonl --dir one
"$chancery" verify one
"$chancery" export one --as openai-chat -o one.jsonl
same one.jsonl
"$python" "$root/schemas/verify/verify.py" --trust one/log.vkey one
"$root/tests/log.sh" one one/log.vkey one/log.key

echo "== bundles: all tool results withheld"
for session in $("$python" -c 'import json; [print(json.loads(line)["session_id"]) for line in list(open("sessions.jsonl"))[::20]]'); do
    said=(--disclose role:system --disclose role:user --disclose role:assistant)
    "$chancery" prove session "$session" one -o some.zip "${said[@]}" >/dev/null 2>&1
    "$chancery" prove session "$session" one -o all.zip --disclose all >/dev/null 2>&1
    for bundle in some.zip all.zip; do
        "$chancery" verify "$bundle" --trust one/log.vkey >/dev/null
        "$python" "$root/schemas/verify/verify.py" "$bundle" --trust one/log.vkey >/dev/null
    done
    "$python" "$root/tests/withheld.py" some.zip all.zip
done

echo "== DuckDB"
"$python" - <<'PY'
import duckdb, json
lines = [json.loads(line) for line in open("sessions.jsonl")]
asked = sum(m["role"] == "assistant" for line in lines for m in line["messages"])
tools = sum(m["role"] == "tool" for line in lines for m in line["messages"])
kinds = dict(duckdb.sql("SELECT kind, count(*) FROM 'one/store/segments/**/*.parquet' GROUP BY kind").fetchall())
assert (kinds["llm.call"], kinds["tool.call"], kinds["session.end"]) == (asked, tools, len(lines)), kinds
one = duckdb.sql("SELECT count(DISTINCT tool_name), sum(CASE WHEN tool_name = 'book_reservation' THEN 1 END) "
                 "FROM 'one/store/segments/**/*.parquet' WHERE kind = 'tool.call'").fetchall()[0]
print(f"{kinds}; {one[0]} tools, book_reservation {one[1]} times")
PY

echo "== Kafka and S3"
id=real-$$-$RANDOM
"$root/tests/stack/stack.sh" topic "$id" 3
key=$("$chancery" keys create --keys keys.toml --tenant acme)
config=$root/deploy/chancery.toml
"$chancery" key new real.example/log -o log.key >log.vkey
"$chancery" ingest --kafka "$CHANCERY_TEST_KAFKA" --topic "$id" --keys keys.toml --listen 127.0.0.1:0 --config "$config" 2>ingest.log &
ingest=$!
"$chancery" sealer --kafka "$CHANCERY_TEST_KAFKA" --topic "$id" --store "s3://$CHANCERY_TEST_S3_BUCKET/$id" --config "$config" --log-key log.key \
    --set sealer.segment_age_max_ms=1000 2>sealer.log &
sealer=$!
until url=$(grep -o 'http://.*' ingest.log); do
    kill -0 "$ingest" || { cat ingest.log >&2; exit 1; }
    sleep 0.1
done
CHANCERY_KEY=$key "$chancery" import openai-chat sessions.jsonl --to "${url%%[[:space:]]*}"
for _ in $(seq 120); do
    "$chancery" export "s3://$CHANCERY_TEST_S3_BUCKET/$id" --as openai-chat -o two.jsonl 2>/dev/null || true
    [ "$(wc -l <two.jsonl)" = "$sessions" ] && same two.jsonl 2>/dev/null && break
    kill -0 "$sealer" || { cat sealer.log >&2; exit 1; }
    sleep 1
done
same two.jsonl
"$chancery" verify "s3://$CHANCERY_TEST_S3_BUCKET/$id"
echo "== the log"
for _ in $(seq 60); do # the last segment is enrolled in its own time
    "$chancery" verify "s3://$CHANCERY_TEST_S3_BUCKET/$id" --trust log.vkey >/dev/null && break
    sleep 1
done
kill -TERM $(jobs -p)
wait
"$chancery" verify "s3://$CHANCERY_TEST_S3_BUCKET/$id" --trust log.vkey
"$python" "$root/tests/stack/download.py" "$CHANCERY_TEST_S3_BUCKET/$id" two
"$python" "$root/schemas/verify/verify.py" --trust log.vkey two
"$root/tests/log.sh" two log.vkey log.key
echo "real sessions: all equal, all verified"
