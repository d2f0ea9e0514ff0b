#!/usr/bin/env bash
# Builds the OpenTelemetry Collector with what `bench otlp` measures, once, and prints its path. Needs Go.
set -euo pipefail

version=v0.155.0
home=${XDG_CACHE_HOME:-$HOME/.cache}/chancery/otelcol-$version

if [[ ! -x $home/dist/otelcol ]]; then
  mkdir -p "$home"
  cat >"$home/manifest.yaml" <<MANIFEST
dist: {name: otelcol, output_path: $home/dist}
receivers: [{gomod: go.opentelemetry.io/collector/receiver/otlpreceiver $version}]
exporters: [{gomod: github.com/open-telemetry/opentelemetry-collector-contrib/exporter/kafkaexporter $version}]
MANIFEST
  GOBIN=$home/bin go install "go.opentelemetry.io/collector/cmd/builder@$version" >&2
  "$home/bin/builder" --config "$home/manifest.yaml" >&2
fi
echo "$home/dist/otelcol"
