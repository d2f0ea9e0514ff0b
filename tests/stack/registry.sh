# The schema registry: Apicurio, by its Confluent API. Sourced by stack.sh.

registry_port() {
  echo $((first_port + 5))
}

registry_env() {
  echo "export CHANCERY_TEST_REGISTRY=http://127.0.0.1:$(registry_port)/apis/ccompat/v7"
}

start_registry() {
  local port
  port=$(registry_port)
  launch registry env APICURIO_STORAGE_KIND=sql QUARKUS_HTTP_HOST=127.0.0.1 QUARKUS_HTTP_PORT="$port" \
    java -Xmx512m -XX:-UsePerfData -Djava.io.tmpdir="$dir" -jar "$registry"/apicurio-registry-app-*-runner.jar
  probe registry python3 -c 'import sys, urllib.request as http; http.urlopen(sys.argv[1], timeout=2)' \
    "http://127.0.0.1:$port/apis/ccompat/v7/subjects"
}
