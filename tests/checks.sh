#!/usr/bin/env bash
# The independent side of the format: the vectors are what their script writes, the verifier accepts them, and finds tampering.
# usage: tests/checks.sh PYTHON    (a Python with pyarrow, fastavro and duckdb)
set -euo pipefail

python=${1:?usage: tests/checks.sh PYTHON}
schemas=$(cd "$(dirname "$0")/../schemas" && pwd)
golden=$schemas/golden/v1
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
export PYTHONDONTWRITEBYTECODE=1

"$python" "$schemas/golden/make.py" "$fresh/v1"
if cmp -s "$fresh/v1/made-with.txt" "$golden/made-with.txt"; then
    diff -r "$fresh/v1" "$golden"
    echo "golden: all files are what make.py writes"
else
    for file in "$golden"/*.json; do
        cmp "$fresh/v1/$(basename "$file")" "$file"
    done
    echo "golden: JSON is what make.py writes; stores not compared, they were made with $(cat "$golden/made-with.txt")," \
        "this is $(cat "$fresh/v1/made-with.txt")"
fi

"$python" "$schemas/verify/verify.py" "$golden/store" "$golden/store-epochs"
"$python" "$schemas/verify/verify.py" --trust "$golden/store-log.policy" "$golden/store-log" "$golden"/bundles/*.zip
"$python" "$schemas/verify/verify.py" "$fresh/v1/store" "$fresh/v1/store-epochs" "$fresh/v1/store-log" >"$fresh/lines"

# A segment is plain Parquet: a query engine that knows nothing of it counts, filters and sums.
"$python" - "$golden/store" <<'PY'
import duckdb, sys
segments = f"'{sys.argv[1]}/segments/**/*.parquet'"
rows = duckdb.sql(f"SELECT count(*), count(*) FILTER (raw_reason IS NULL), sum(len(bodies)) FROM {segments}").fetchall()[0]
kinds = duckdb.sql(f"SELECT count(*) FROM {segments} WHERE kind = 'llm.call' AND occurred_at > '2020-01-01'").fetchall()[0]
assert rows[0] > rows[1] > 0 and rows[2] > 0 and kinds[0] > 0, (rows, kinds)
print(f"duckdb: {rows[0]} rows, {rows[1]} events, {rows[2]} bodies, {kinds[0]} model calls")
PY

for tests in test_verify test_log test_bundle; do
    "$python" "$schemas/verify/$tests.py" 2>&1 | tee -a "$fresh/tests"
done
passed=$(sed -n 's/^Ran \([0-9]*\) tests.*/\1/p' "$fresh/tests" | awk '{ sum += $1 } END { print sum }')
echo "$passed passed, 0 failed"
