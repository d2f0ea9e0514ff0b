#!/usr/bin/env bash
# The real servers that tests run against, without a container engine: Apache Kafka, an S3 server with object lock, and where
# asked for a schema registry, all on free ports of 127.0.0.1.
#
#   stack.sh run [OPTION…] -- COMMAND…   start them, run COMMAND, stop them; exits with COMMAND's status
#   stack.sh up [OPTION…] DIR            start them and leave them running; then `. DIR/env`
#   stack.sh down DIR                    stop what `up DIR` started and remove DIR
#   stack.sh restart SERVER              kill a server of the running stack, start it again, wait until it answers
#   stack.sh topic NAME N                create a topic of N partitions on the running stack
#   stack.sh fetch [OPTION…]             only download what is missing
#   stack.sh python                      print the python that the independent checks run with
#   stack.sh log-tools                   print variables that name the tools that verify a log
#
#   --brokers 1|3                        Kafka nodes; of three, two must have a message [default: 1]
#   --s3 seaweedfs|minio|versity         the S3 server [default: seaweedfs]
#   --secure                             Kafka listens with TLS and with SASL/SCRAM too
#   --registry                           a schema registry
#   --log                                for fetch: what verifies a log, too
#
# Each server S has files S.pid, S.run (starts it), S.probe (succeeds when it answers) and S.log in $CHANCERY_TEST_STACK.
# Downloads are kept in ${XDG_CACHE_HOME:-$HOME/.cache}/chancery. Nothing is kept of a run.
# Needs Java 17, Maven, Python 3 with venv, and flock; Go for MinIO, Versity and --log, openssl for --secure.
set -euo pipefail
shopt -s inherit_errexit

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/chancery
start_seconds_max=120
block_ports=40
dir=''        # of the servers being started
first_port='' # of the block that they share
command=''    # process group of the command being run

brokers=1 in_sync=1 heap=512m s3=seaweedfs secure='' with_registry='' with_log=''
arguments=() # what is left when the options are taken

for part in fetch kafka s3 registry; do
  # shellcheck disable=SC1090
  . "$here/$part.sh"
done
java=(java -Xmx128m -XX:-UsePerfData "-Dlog4j2.configurationFile=$here/log4j2.xml" -cp "$kafka/*")

main() {
  options "${@:2}"
  set -- "${1-}" "${arguments[@]}"
  case "$1 $#" in
    'run '*) if [[ ${2-} == -- && $# -ge 3 ]]; then run "${@:3}"; else usage; fi ;;
    'up 2') up "$2" ;;
    'down 2') down "$2" ;;
    'restart 2') restart "$2" ;;
    'topic 3') make_topic "$2" "$3" ;;
    'fetch 1') with_lock fetch_all ;;
    'log-tools 1') with_lock log_tools ;;
    'python 1') with_lock fetch_checks; echo "$checks/bin/python" ;;
    *) usage ;;
  esac
}

options() {
  while (($#)); do
    case "$1 ${2-}" in
      '--brokers 1') shift ;;
      '--brokers 3') brokers=3 in_sync=2 heap=384m; shift ;;
      '--s3 seaweedfs' | '--s3 minio' | '--s3 versity') s3=$2; shift ;;
      '--secure '*) secure=yes ;;
      '--registry '*) with_registry=yes ;;
      '--log '*) with_log=yes ;;
      '-- '*) break ;;
      -*) usage ;;
      *) arguments+=("$1") ;;
    esac
    shift
  done
  arguments+=("$@")
}

usage() {
  sed -n '5,18s/^# *//p' "${BASH_SOURCE[0]}" >&2
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

restart() {
  dir=${CHANCERY_TEST_STACK:?is not set: no stack is running}
  if [[ ! -e $dir/$1.run ]]; then die "there is no server $1 in $dir"; fi
  # shellcheck disable=SC1091
  . "$dir/env"
  local pid
  pid=$(<"$dir/$1.pid")
  stop_server "$pid"
  # It may be dying of somebody else's signal; until it is gone, it has the ports.
  gone "$pid" 10 || die "$1 does not stop"
  start_server "$1"
  await "$1"
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
    kill -KILL "$1" 2>/dev/null || true # it may just have ended
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
  fetch
  first_port=$(free_block)
  echo "$first_port" >"$dir/block"
  write_env
  # shellcheck disable=SC1091
  . "$dir/env"
  start_s3
  start_kafka
  if [[ -n $with_registry ]]; then start_registry; fi
  await s3
  make_bucket
  local file
  for file in "$dir"/*.probe; do await "$(basename "$file" .probe)"; done
}

write_env() {
  {
    echo "export CHANCERY_TEST_STACK=$dir"
    # What another stack offers, this one may not.
    echo 'unset CHANCERY_TEST_REGISTRY CHANCERY_TEST_S3_FILER CHANCERY_TEST_CA'
    echo 'unset CHANCERY_TEST_KAFKA_TLS CHANCERY_TEST_KAFKA_SASL CHANCERY_TEST_SASL_USER CHANCERY_TEST_SASL_PASSWORD'
    kafka_env
    s3_env
    if [[ -n $with_registry ]]; then registry_env; fi
    printf 'export NO_PROXY=%q\n' "127.0.0.1${NO_PROXY:+,$NO_PROXY}"
  } >"$dir/env"
}

# launch SERVER COMMAND…: starts it, and keeps how, for `restart`.
launch() {
  printf 'exec%s\n' "$(printf ' %q' "${@:2}")" >"$dir/$1.run"
  start_server "$1"
}

# probe SERVER COMMAND…: succeeds when the server answers.
probe() {
  printf 'exec%s\n' "$(printf ' %q' "${@:2}")" >"$dir/$1.probe"
}

# start_server SERVER: in a group of its own, so that Ctrl-C does not reach it before us.
start_server() {
  set -m
  bash "$dir/$1.run" </dev/null >>"$dir/$1.log" 2>&1 9>&- &
  set +m
  disown # or bash reports its end
  echo $! >"$dir/$1.pid"
}

# await SERVER: returns when it answers; shows its log if it never does.
await() {
  local deadline=$((SECONDS + start_seconds_max))
  until bash "$dir/$1.probe" </dev/null >/dev/null 2>&1; do
    if ! kill -0 "$(<"$dir/$1.pid")" 2>/dev/null || ((SECONDS > deadline)); then
      tail -n 40 "$dir/$1.log" >&2
      die "$1 did not start; the end of its log is above"
    fi
    sleep 0.1
  done
}

# Prints the first port of a block, all free here and at +10000. Both ends stay below the range
# that the system takes for outgoing connections.
free_block() {
  local try port
  for try in {1..100}; do
    port=$((20000 + RANDOM % (2760 / block_ports) * block_ports))
    if all_free $port $((port + 10000)); then
      echo $port
      return
    fi
  done
  die "no $block_ports free ports after $try tries"
}

# all_free FIRST…: nobody listens on the block of ports from each FIRST on.
all_free() {
  local first port
  for first; do
    for port in $(seq "$first" $((first + block_ports - 1))); do
      if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then return 1; fi
    done
  done
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
