# Three S3 servers with object lock, by three makers; a run has one of them. Sourced by stack.sh.

bucket=chancery-test

# The server's port is the stack's first one.
s3_env() {
  cat <<ENV
unset AWS_ENDPOINT AWS_ENDPOINT_URL_S3 AWS_PROFILE AWS_SESSION_TOKEN
export AWS_ENDPOINT_URL=http://127.0.0.1:$first_port
export AWS_ACCESS_KEY_ID=chancery-test
export AWS_SECRET_ACCESS_KEY=chancery-test-secret
export AWS_REGION=us-east-1
export AWS_ALLOW_HTTP=true
export CHANCERY_TEST_S3_BUCKET=$bucket
export CHANCERY_TEST_S3_KIND=$s3
export CHANCERY_TEST_S3_DATA=$dir/s3
ENV
  if [[ $s3 == seaweedfs ]]; then echo "export CHANCERY_TEST_S3_FILER=127.0.0.1:$((first_port + 3))"; fi
}

start_s3() {
  mkdir "$dir/s3"
  "start_$s3" "$first_port"
  probe s3 python3 "$here/s3.py" GET /
}

make_bucket() {
  python3 "$here/s3.py" PUT "/$bucket" x-amz-bucket-object-lock-enabled:true </dev/null 2>"$dir/bucket.log" ||
    die "the bucket could not be made: $(<"$dir/bucket.log")"
}

# start_seaweedfs PORT: takes the four ports after it too, and each of the five at +10000 (gRPC).
start_seaweedfs() {
  cat >"$dir/s3.json" <<JSON
{"identities": [{"name": "test", "actions": ["Admin", "Read", "List", "Tagging", "Write"],
  "credentials": [{"accessKey": "$AWS_ACCESS_KEY_ID", "secretKey": "$AWS_SECRET_ACCESS_KEY"}]}]}
JSON
  mkdir "$dir/s3-logs"
  # Telemetry and listening on every interface are SeaweedFS's defaults.
  launch s3 "$seaweedfs/bin/weed" -logdir="$dir/s3-logs" mini -dir="$dir/s3" \
    -ip=127.0.0.1 -ip.bind=127.0.0.1 -master.telemetry=false -admin.ui=false -webdav=false \
    -s3.config="$dir/s3.json" -s3.port="$1" -s3.port.iceberg=0 -s3.port.lance=0 \
    -master.port=$(($1 + 1)) -volume.port=$(($1 + 2)) -filer.port=$(($1 + 3)) \
    -admin.port=$(($1 + 4)) -admin.port.grpc=$(($1 + 10004))
}

# start_minio PORT
start_minio() {
  launch s3 env MINIO_ROOT_USER="$AWS_ACCESS_KEY_ID" MINIO_ROOT_PASSWORD="$AWS_SECRET_ACCESS_KEY" \
    MINIO_UPDATE=off MINIO_BROWSER=off "$minio/minio" server --quiet --address "127.0.0.1:$1" "$dir/s3"
}

# start_versity PORT: its folders keep locks and tags in extended attributes.
start_versity() {
  mkdir "$dir/s3-versions"
  launch s3 env ROOT_ACCESS_KEY="$AWS_ACCESS_KEY_ID" ROOT_SECRET_KEY="$AWS_SECRET_ACCESS_KEY" \
    "$versity/versitygw" --quiet --port "127.0.0.1:$1" posix --versioning-dir "$dir/s3-versions" "$dir/s3"
}
