# Downloads, pinned by version and, where the client can, by hash. Each is kept in a folder of its own, which appears when it
# is complete. Sourced by stack.sh.

# folder NAME FILE: where the downloads that FILE pins are kept; another FILE, another folder.
folder() {
  echo "$cache/$1-$(cksum <"$here/$2" | cut -d ' ' -f 1)"
}

fsck_version=v1.0.4
minio_version=v0.0.0-20260212201848-7aac2a2c5b7c
versity_version=v1.8.0

kafka=$(folder kafka pom.xml)
registry=$(folder registry registry.xml)
seaweedfs=$(folder seaweedfs seaweedfs.txt)
minio=$cache/minio-$minio_version
versity=$cache/versity-$versity_version
checks=$(folder checks requirements.txt)
aics=$(folder aics aics.txt)
fsck=$cache/fsck-$fsck_version
oracle=$cache/oracle-$(cat "$here"/../oracle/{go.mod,go.sum,main.go} | cksum | cut -d ' ' -f 1)

fetch() {
  fetch_kafka
  "fetch_$s3"
  if [[ -n $with_registry ]]; then fetch_registry; fi
}

fetch_all() {
  fetch
  fetch_checks
  if [[ -n $with_log ]]; then fetch_log; fi
}

# What verifies a log. Go takes its time once.
fetch_log() {
  fetch_go "$fsck" "github.com/transparency-dev/tessera/cmd/fsck@$fsck_version"
  fetch_oracle
  local venv_python
  venv_python=$(new_python)
  if [[ -n $venv_python ]]; then fetch_venv "$aics" aics.txt; fi
}

log_tools() {
  fetch_log
  local python=''
  if [[ -e $aics/complete ]]; then python=$aics/bin/python; fi
  printf 'go_fsck=%q go_oracle=%q aics=%q\n' "$fsck/fsck" "$oracle/oracle" "$python"
}

fetch_oracle() {
  if [[ -d $oracle ]]; then return; fi
  need go 'Go (Debian: golang)'
  rm -rf "$oracle.part"
  (cd "$here/../oracle" && go build -o "$oracle.part/" .) >&2
  mv "$oracle.part" "$oracle"
}

# Prints a Python that is 3.12 or newer; nothing where there is none.
new_python() {
  local python
  for python in python3 python3.{12..20} "$HOME"/.pyenv/versions/3.*/bin/python; do
    if "$python" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then
      echo "$python"
      return
    fi
  done
}

fetch_kafka() {
  need java 'Java 17 or newer (Debian: default-jre-headless)'
  fetch_jars "$kafka" pom.xml copy-dependencies -DincludeScope=runtime
}

fetch_registry() {
  fetch_jars "$registry" registry.xml unpack
}

# fetch_jars FOLDER POM GOAL [OPTION…]
fetch_jars() {
  if [[ -d $1 ]]; then return; fi
  need mvn 'Maven (Debian: maven)'
  rm -rf "$1.part"
  mvn -q -B -Dstyle.color=never --strict-checksums -f "$here/$2" "dependency:$3" -DoutputDirectory="$1.part" "${@:4}" >&2
  mv "$1.part" "$1"
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
  "${venv_python:-python3}" -m venv "$1" >&2 || die "no venv: install Python's venv module (Debian: python3-venv)"
  "$1/bin/python" -m pip install -q --only-binary :all: "${@:3}" -r "$here/$2" >&2
  touch "$1/complete"
}

fetch_minio() {
  fetch_go "$minio" "github.com/minio/minio@$minio_version"
}

fetch_versity() {
  fetch_go "$versity" "github.com/versity/versitygw/cmd/versitygw@$versity_version"
}

# fetch_go FOLDER PACKAGE: takes minutes; the source's hash is checked by Go.
fetch_go() {
  if [[ -d $1 ]]; then return; fi
  need go 'Go (Debian: golang)'
  rm -rf "$1.part"
  GOBIN=$1.part go install "$2" >&2
  mv "$1.part" "$1"
}

need() {
  command -v "$1" >/dev/null || die "$1 is missing: install $2"
}
