#!/usr/bin/env bash
# Made response.tsr, root.pem and data, once; the keys are gone. The response is what OpenSSL's
# authority answers to `openssl ts -query -cert`, signed with RSA and certified by way of an
# authority between.
set -euo pipefail
target=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$(mktemp -d)"
cat >settings <<'SETTINGS'
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
[tsa]
basicConstraints = CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
[authority]
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1,millisecs:500,microsecs:100
ess_cert_id_alg = sha256
signer_digest = sha256
tsa_name = yes
serial = serial
SETTINGS
echo 0a2b >serial
ec=(-newkey ec -pkeyopt ec_paramgen_curve:P-256)
request=(openssl req -config settings -nodes)
"${request[@]}" -x509 "${ec[@]}" -keyout root.key -out root.pem -days 3650 -extensions ca -subj /CN=Root
"${request[@]}" -new "${ec[@]}" -keyout between.key -out between.csr -subj /CN=Between
"${request[@]}" -new -newkey rsa:2048 -keyout tsa.key -out tsa.csr -subj '/O=Example, Inc./CN=Time Stamps 1'
sign=(openssl x509 -req -CAcreateserial -days 3650 -extfile settings)
"${sign[@]}" -in between.csr -CA root.pem -CAkey root.key -extensions ca -out between.pem
"${sign[@]}" -in tsa.csr -CA between.pem -CAkey between.key -extensions tsa -out tsa.pem
printf 'a checkpoint\n' >data
openssl ts -query -data data -sha256 -cert -out query.tsq
openssl ts -reply -config settings -section authority -queryfile query.tsq -signer tsa.pem \
  -inkey tsa.key -chain between.pem -out response.tsr
openssl ts -verify -data data -in response.tsr -CAfile root.pem
cp data root.pem response.tsr "$target"
