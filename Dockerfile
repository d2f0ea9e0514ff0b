# The one binary, in a small image that runs as nobody.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked

FROM debian:bookworm-slim
COPY --from=build /src/target/release/chancery /usr/local/bin/chancery
RUN mkdir /var/lib/chancery && chown 65534:65534 /var/lib/chancery
USER 65534:65534
VOLUME /var/lib/chancery
ENTRYPOINT ["chancery"]
