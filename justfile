# Each recipe is a plain command that also works pasted. CI runs the same ones.

# Everything a change must pass.
check: lint test

lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --features chancery/services -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

test:
    cargo test --workspace

# End to end on a real Apache Kafka broker and a real S3 server, which are fetched, started and stopped.
it:
    tests/stack/stack.sh run -- cargo test --workspace --features chancery/services --test it services

# The vectors and the independent verifier.
golden:
    tests/checks.sh "$(tests/stack/stack.sh python)"

# The real sessions of DATA through the binary, embedded and on Kafka and S3, checked by the independent verifier.
real DATA:
    tests/stack/stack.sh run -- tests/real.sh {{DATA}}

# Figures for docs/benchmarks.md; DATA holds tau-bench/gpt-4o-airline.json.
bench DATA:
    cargo run --release -p tests --bin bench -- {{DATA}}

demo:
    cargo run --release -- demo
