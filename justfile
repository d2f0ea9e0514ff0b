# Each recipe is a plain command that also works pasted. CI runs the same ones.

# Everything a change must pass.
check: lint test

lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --features chancery/services -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

test:
    cargo test --workspace

# The model of the sealing protocol.
model:
    tests/model/run.sh

# End to end on real servers, which are fetched, started and killed: one broker and three, TLS and SASL, a schema registry, and
# each of three S3 servers, or those that are named.
e2e *S3:
    tests/e2e.sh {{S3}}

# The vectors and the independent verifier.
golden:
    tests/checks.sh "$(tests/stack/stack.sh python)"

# The real sessions of DATA through the binary, embedded and on Kafka and S3, checked by the independent verifier.
real DATA:
    tests/stack/stack.sh run -- tests/real.sh {{DATA}}

# Figures for docs/benchmarks.md; DATA holds tau-bench/gpt-4o-airline.json.
bench DATA:
    cargo run --release -p tests --bin bench -- {{DATA}}

# Agents of real SDKs, installed from their registries, against recorded answers; what was captured of each is checked.
capture DATA:
    cargo build
    tests/capture/run.sh --binary target/debug/chancery {{DATA}}

demo:
    cargo run --release -- demo
