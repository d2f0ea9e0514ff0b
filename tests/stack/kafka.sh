# Apache Kafka in KRaft mode: each node is broker and controller. Sourced by stack.sh.
#
# A broker's ports, from its first on: plain, controller, TLS, SASL, behind, front. `behind` is a plain listener that advertises
# `front`, where nobody listens: a test puts its proxy there, and all that a client sends goes through it.

scram_user=chancery
scram_password=chancery-test-scram

# broker_port NODE
broker_port() {
  echo $(($1 * 10 + first_port))
}

# server NODE: the only one has no number
server() {
  if ((brokers == 1)); then echo kafka; else echo "kafka-$1"; fi
}

# plain_addresses: the bootstrap servers
plain_addresses() {
  local node all=''
  for node in $(seq "$brokers"); do all+=,127.0.0.1:$(broker_port "$node"); done
  echo "${all#,}"
}

kafka_env() {
  local port
  port=$(broker_port 1)
  echo "export CHANCERY_TEST_KAFKA=$(plain_addresses)"
  echo "export CHANCERY_TEST_KAFKA_BEHIND=127.0.0.1:$((port + 4))"
  echo "export CHANCERY_TEST_KAFKA_FRONT=127.0.0.1:$((port + 5))"
  if [[ -n $secure ]]; then
    echo "export CHANCERY_TEST_KAFKA_TLS=127.0.0.1:$((port + 2))"
    echo "export CHANCERY_TEST_KAFKA_SASL=127.0.0.1:$((port + 3))"
    echo "export CHANCERY_TEST_CA=$dir/ca.pem"
    echo "export CHANCERY_TEST_SASL_USER=$scram_user"
    echo "export CHANCERY_TEST_SASL_PASSWORD=$scram_password"
  fi
}

start_kafka() {
  local node id name
  if [[ -n $secure ]]; then certificates; fi
  id=$(head -c 16 /dev/urandom | base64 | tr +/ AB | tr -d =)
  for node in $(seq "$brokers"); do
    properties "$node" >"$dir/kafka-$node.properties"
    format "$node" "$id"
  done
  for node in $(seq "$brokers"); do
    name=$(server "$node")
    launch "$name" "${java[@]}" "-Xmx$heap" kafka.Kafka "$dir/kafka-$node.properties"
    probe "$name" python3 "$here/kafka.py" "$(broker_port "$node")"
  done
}

# properties NODE
properties() {
  local port voters='' node
  port=$(broker_port "$1")
  for node in $(seq "$brokers"); do voters+=,$node@127.0.0.1:$(($(broker_port "$node") + 1)); done
  cat <<PROPERTIES
process.roles=broker,controller
node.id=$1
controller.quorum.voters=${voters#,}
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1)),BEHIND://127.0.0.1:$((port + 4))${secure:+,SSL://127.0.0.1:$((port + 2)),SASL_PLAINTEXT://127.0.0.1:$((port + 3))}
advertised.listeners=PLAINTEXT://127.0.0.1:$port,BEHIND://127.0.0.1:$((port + 5))${secure:+,SSL://127.0.0.1:$((port + 2)),SASL_PLAINTEXT://127.0.0.1:$((port + 3))}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,BEHIND:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT
log.dirs=$dir/kafka-$1
auto.create.topics.enable=false
unclean.leader.election.enable=false
# Retention goes by the record's own timestamp, and tests write old ones.
log.retention.ms=-1
group.initial.rebalance.delay.ms=0
default.replication.factor=$brokers
min.insync.replicas=$in_sync
offsets.topic.replication.factor=$brokers
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=$brokers
transaction.state.log.min.isr=$in_sync
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=$brokers
share.coordinator.state.topic.min.isr=$in_sync
share.coordinator.state.topic.num.partitions=4
PROPERTIES
  if [[ -n $secure ]]; then
    cat <<PROPERTIES
ssl.keystore.type=PEM
ssl.keystore.location=$dir/broker.pem
sasl.enabled.mechanisms=SCRAM-SHA-256
listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
PROPERTIES
  fi
}

# format NODE CLUSTER_ID
format() {
  local user=()
  if [[ -n $secure ]]; then user=(--add-scram "SCRAM-SHA-256=[name=$scram_user,password=$scram_password]"); fi
  "${java[@]}" kafka.tools.StorageTool format -t "$2" -c "$dir/kafka-$1.properties" "${user[@]}" \
    >"$dir/format.log" 2>&1 || die "Kafka's storage could not be formatted: $(<"$dir/format.log")"
}

# An authority of this run alone, and a certificate for 127.0.0.1 signed by it.
certificates() {
  need openssl 'OpenSSL (Debian: openssl)'
  {
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=chancery test authority' \
      -keyout "$dir/ca.key" -out "$dir/ca.pem"
    openssl req -newkey rsa:2048 -nodes -subj '/CN=127.0.0.1' -keyout "$dir/broker.key" -out "$dir/broker.csr"
    openssl x509 -req -days 2 -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial -in "$dir/broker.csr" \
      -extfile <(echo 'subjectAltName=IP:127.0.0.1,DNS:localhost') -out "$dir/broker.crt"
  } 2>"$dir/openssl.log" || die "no certificates: $(<"$dir/openssl.log")"
  cat "$dir/broker.key" "$dir/broker.crt" "$dir/ca.pem" >"$dir/broker.pem"
}

# make_topic NAME PARTITIONS
make_topic() {
  "${java[@]}" org.apache.kafka.tools.TopicCommand --bootstrap-server "$CHANCERY_TEST_KAFKA" \
    --create --topic "$1" --partitions "$2"
}
