# Downloads, pinned by version and, where the client can, by hash. Each is kept in a folder of its own, which appears when it
# is complete. Sourced by stack.sh.

# folder NAME FILE: where the downloads that FILE pins are kept; another FILE, another folder.
folder() {
  echo "$cache/$1-$(cksum <"$here/$2" | cut -d ' ' -f 1)"
}

minio_version=v0.0.0-20260212201848-7aac2a2c5b7c
versity_version=v1.8.0

kafka=$(folder kafka pom.xml)
registry=$(folder registry registry.xml)
seaweedfs=$(folder seaweedfs seaweedfs.txt)
minio=$cache/minio-$minio_version
versity=$cache/versity-$versity_version
checks=$(folder checks requirements.txt)

fetch() {
  fetch_kafka
  "fetch_$s3"
  if [[ -n $with_registry ]]; then fetch_registry; fi
}

fetch_all() {
  fetch
  fetch_checks
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
  python3 -m venv "$1" >&2 || die "no venv: install Python's venv module (Debian: python3-venv)"
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
