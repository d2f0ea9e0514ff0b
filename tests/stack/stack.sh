#!/usr/bin/env bash
# The real servers that tests run against, without a container engine: one Apache Kafka node and
# one S3 server with object lock (SeaweedFS), on free ports of 127.0.0.1.
#
#   stack.sh run -- COMMAND…   start both, run COMMAND, stop both; exits with COMMAND's status
#   stack.sh up DIR            start both and leave them running; then `. DIR/env`
#   stack.sh down DIR          stop what `up DIR` started and remove DIR
#   stack.sh fetch             only download what is missing
#   stack.sh python            print the python that the independent checks run with
#   stack.sh topic NAME N      create a topic of N partitions on the running stack
#
# Downloads are kept in ${XDG_CACHE_HOME:-$HOME/.cache}/chancery. Nothing is kept of a run.
# Needs Java 17, Maven, Python 3 with venv, and flock.
set -euo pipefail
shopt -s inherit_errexit

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/chancery
bucket=chancery-test
start_seconds_max=60
dir=''     # of the servers being started
command='' # process group of the command being run

main() {
  case "${1-} $#" in
    'run '*) if [[ ${2-} == -- && $# -ge 3 ]]; then run "${@:3}"; else usage; fi ;;
    'up 2') up "$2" ;;
    'down 2') down "$2" ;;
    'fetch 1') with_lock fetch ;;
    'python 1') with_lock fetch_checks; echo "$checks/bin/python" ;;
    'topic 3') topic "$2" "$3" ;;
    *) usage ;;
  esac
}

usage() {
  sed -n '5,10s/^# *//p' "${BASH_SOURCE[0]}" >&2
  exit 2
}

run() {
  dir=$(mktemp -d "${TMPDIR:-/tmp}/chancery-stack.XXXXXX")
  finish_on_exit
  with_lock start
  # A group of its own: stopping it stops its children, and Ctrl-C comes here first.
  set -m
  "$@" <&0 &
  command=$!
  set +m
  local status=0
  wait "$command" || status=$?
  exit "$status"
}

up() {
  mkdir -p "$1"
  if [[ -n $(ls -A "$1") ]]; then die "$1 is not empty; \`stack.sh down $1\` if a stack is there"; fi
  dir=$(cd "$1" && pwd)
  finish_on_exit
  with_lock start
  trap - EXIT
  echo "stack: up; now \`. $dir/env\`, and later \`stack.sh down $dir\`"
}

down() {
  if [[ ! -e $1/env ]]; then die "$1 was not made by \`stack.sh up\`"; fi
  dir=$(cd "$1" && pwd)
  finish
}

topic() {
  java -Xmx128m -Dlog4j2.configurationFile="$here/log4j2.xml" -cp "$kafka/*" org.apache.kafka.tools.TopicCommand \
    --bootstrap-server "$CHANCERY_TEST_KAFKA" --create --topic "$1" --partitions "$2"
}

# --- stopping -------------------------------------------------------------------------------------

finish_on_exit() {
  trap finish EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

# Stops the command, then the servers, and removes the directory.
finish() {
  set +e # whatever fails, the rest is stopped too
  trap '' HUP INT TERM
  if [[ -n $command ]]; then
    kill -TERM -- "-$command" 2>/dev/null
    gone "-$command" 5 || kill -KILL -- "-$command" 2>/dev/null || true
  fi
  local file
  for file in "$dir"/*.pid; do
    if [[ -e $file ]]; then stop_server "$(<"$file")"; fi
  done
  # SeaweedFS puts a socket in /tmp for most of its ports, whatever TMPDIR is, and leaves it there.
  if [[ -e $dir/block ]]; then rm -f /tmp/seaweedfs-*-[23]"$(cut -c 2-4 "$dir/block")"?.sock; fi
  rm -rf "$dir"
}

# Kills outright, since the data goes too. A process id is believed only while its command line
# names our directory: after `up`, another process may have got it.
stop_server() {
  if [[ $(ps -o args= -p "$1") == *"$dir"* ]]; then
    kill -KILL "$1"
    gone "$1" 10 || echo "stack: process $1 did not stop" >&2
  fi
}

# gone PID SECONDS: waits until the process (or the group -PID) is no more.
gone() {
  local deadline=$((SECONDS + $2))
  while kill -0 -- "$1" 2>/dev/null; do
    if ((SECONDS > deadline)); then return 1; fi
    sleep 0.1
  done
}

# --- starting -------------------------------------------------------------------------------------

# One start at a time: two stacks must not choose the same ports.
start() {
  fetch_kafka
  fetch_seaweedfs
  local port
  port=$(free_block)
  echo "$port" >"$dir/block"
  write_env $((port + 2)) "$port"
  # shellcheck disable=SC1091
  . "$dir/env"
  start_s3 $((port + 2))
  start_kafka "$port" $((port + 1))
  await s3 python3 "$here/s3.py" GET /
  python3 "$here/s3.py" PUT "/$bucket" x-amz-bucket-object-lock-enabled:true 2>"$dir/bucket.log" ||
    die "the bucket could not be made: $(<"$dir/bucket.log")"
  await kafka python3 "$here/kafka.py" "$port"
}

# write_env S3_PORT KAFKA_PORT
write_env() {
  cat >"$dir/env" <<END
unset AWS_ENDPOINT AWS_ENDPOINT_URL_S3 AWS_PROFILE AWS_SESSION_TOKEN
export CHANCERY_TEST_KAFKA=127.0.0.1:$2
export CHANCERY_TEST_S3_BUCKET=$bucket
export AWS_ENDPOINT_URL=http://127.0.0.1:$1
export AWS_ACCESS_KEY_ID=chancery-test
export AWS_SECRET_ACCESS_KEY=chancery-test-secret
export AWS_REGION=us-east-1
export AWS_ALLOW_HTTP=true
export NO_PROXY=127.0.0.1\${NO_PROXY:+,\$NO_PROXY}
END
}

# start_kafka PORT CONTROLLER_PORT
start_kafka() {
  cat >"$dir/server.properties" <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$2
listeners=PLAINTEXT://127.0.0.1:$1,CONTROLLER://127.0.0.1:$2
advertised.listeners=PLAINTEXT://127.0.0.1:$1
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$dir/kafka
auto.create.topics.enable=false
# Retention goes by the record's own timestamp, and tests write old ones.
log.retention.ms=-1
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
END
  local id java=(java -Xmx512m -XX:-UsePerfData "-Dlog4j2.configurationFile=$here/log4j2.xml" -cp "$kafka/*")
  id=$(head -c 16 /dev/urandom | base64 | tr +/ AB | tr -d =)
  "${java[@]}" kafka.tools.StorageTool format -t "$id" -c "$dir/server.properties" \
    >"$dir/format.log" 2>&1 || die "Kafka's storage could not be formatted: $(<"$dir/format.log")"
  launch kafka "${java[@]}" kafka.Kafka "$dir/server.properties"
}

# start_s3 PORT: takes the four ports after it too, and each of the five at +10000 (gRPC).
start_s3() {
  cat >"$dir/s3.json" <<END
{"identities": [{"name": "test", "actions": ["Admin", "Read", "List", "Tagging", "Write"],
  "credentials": [{"accessKey": "$AWS_ACCESS_KEY_ID", "secretKey": "$AWS_SECRET_ACCESS_KEY"}]}]}
END
  mkdir "$dir/s3" "$dir/s3-logs"
  # Telemetry and listening on every interface are SeaweedFS's defaults.
  launch s3 "$seaweedfs/bin/weed" -logdir="$dir/s3-logs" mini -dir="$dir/s3" \
    -ip=127.0.0.1 -ip.bind=127.0.0.1 -master.telemetry=false -admin.ui=false -webdav=false \
    -s3.config="$dir/s3.json" -s3.port="$1" -s3.port.iceberg=0 -s3.port.lance=0 \
    -master.port=$(($1 + 1)) -volume.port=$(($1 + 2)) -filer.port=$(($1 + 3)) \
    -admin.port=$(($1 + 4)) -admin.port.grpc=$(($1 + 10004))
}

# launch SERVER COMMAND…: in a group of its own, so that Ctrl-C does not reach it before us.
launch() {
  set -m
  "${@:2}" </dev/null >"$dir/$1.log" 2>&1 9>&- &
  set +m
  disown # or bash reports its end
  echo $! >"$dir/$1.pid"
}

# await SERVER PROBE…: returns when PROBE succeeds; shows the server's log if it never does.
await() {
  local deadline=$((SECONDS + start_seconds_max))
  until "${@:2}" >/dev/null 2>&1; do
    if ! kill -0 "$(<"$dir/$1.pid")" 2>/dev/null || ((SECONDS > deadline)); then
      tail -n 40 "$dir/$1.log" >&2
      die "$1 did not start; the end of its log is above"
    fi
    sleep 0.1
  done
}

# Prints the first of ten ports, all free here and at +10000. Both ends stay below the range that
# the system takes for outgoing connections.
free_block() {
  local try port
  for try in {1..100}; do
    port=$((20000 + RANDOM % 270 * 10))
    if all_free $port $((port + 10000)); then
      echo $port
      return
    fi
  done
  die "no ten free ports after $try tries"
}

# all_free FIRST…: nobody listens on the ten ports from each FIRST on.
all_free() {
  local first port
  for first; do
    for port in $(seq "$first" $((first + 9))); do
      if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then return 1; fi
    done
  done
}

# --- fetching -------------------------------------------------------------------------------------

# folder NAME FILE: where the downloads that FILE pins are kept; another FILE, another folder.
folder() {
  echo "$cache/$1-$(cksum <"$here/$2" | cut -d ' ' -f 1)"
}

kafka=$(folder kafka pom.xml)
seaweedfs=$(folder seaweedfs seaweedfs.txt)
checks=$(folder checks requirements.txt)

fetch() {
  fetch_kafka
  fetch_seaweedfs
  fetch_checks
}

fetch_kafka() {
  need java 'Java 17 or newer (Debian: default-jre-headless)'
  if [[ -d $kafka ]]; then return; fi
  need mvn 'Maven (Debian: maven)'
  rm -rf "$kafka.part"
  mvn -q -B -Dstyle.color=never --strict-checksums -f "$here/pom.xml" dependency:copy-dependencies \
    -DoutputDirectory="$kafka.part" -DincludeScope=runtime >&2
  mv "$kafka.part" "$kafka"
}

fetch_seaweedfs() {
  fetch_venv "$seaweedfs" seaweedfs.txt --require-hashes
}

fetch_checks() {
  fetch_venv "$checks" requirements.txt
}

# fetch_venv FOLDER REQUIREMENTS [OPTION…]: the folder's file `complete` is written last.
fetch_venv() {
  need python3 'Python 3 (Debian: python3 python3-venv)'
  if [[ -e $1/complete ]]; then return; fi
  rm -rf "$1"
  python3 -m venv "$1" >&2 || die "no venv: install Python's venv module (Debian: python3-venv)"
  "$1/bin/python" -m pip install -q --only-binary :all: "${@:3}" -r "$here/$2" >&2
  touch "$1/complete"
}

need() {
  command -v "$1" >/dev/null || die "$1 is missing: install $2"
}

# with_lock COMMAND…: one at a time on this machine, and none of them reads our standard input.
with_lock() {
  need flock 'flock (Debian: util-linux)'
  mkdir -p "$cache"
  exec 9>"$cache/lock"
  flock 9
  "$@" </dev/null
  exec 9>&-
}

die() {
  echo "stack: $*" >&2
  exit 1
}

main "$@"
