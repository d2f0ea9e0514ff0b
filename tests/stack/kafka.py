"""Exits 0 when a Kafka broker answers ApiVersions on 127.0.0.1:PORT.

A KRaft broker answers no request before it is registered and unfenced, so an answer means that
topics can be created. This is a probe and not a client.

    kafka.py PORT
"""

import socket
import struct
import sys

API_VERSIONS = 18

# size, api key, api version, correlation id, client id (null)
request = struct.pack(">ihhih", 10, API_VERSIONS, 0, 1, -1)

try:
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=2) as broker:
        broker.sendall(request)
        _size, correlation, error = struct.unpack(">iih", broker.makefile("rb").read(10))
except (OSError, struct.error) as reason:
    sys.exit(f"kafka: {reason}")
sys.exit(0 if (correlation, error) == (1, 0) else f"kafka: error code {error}")
