"""A time-stamp authority (RFC 3161) over HTTP, as OpenSSL has it: what is asked is handed to `openssl ts -reply`.

    authority.py FOLDER

FOLDER gets root.pem, which its certificate leads to. The address is printed once it listens on 127.0.0.1.
"""

import http.server
import subprocess
import sys
from pathlib import Path

SETTINGS = """
[req]
distinguished_name = name
[name]
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
[tsa]
basicConstraints = CA:FALSE
extendedKeyUsage = critical,timeStamping
[authority]
serial = serial
default_policy = 1.2.3.4
digests = sha256
signer_digest = sha256
ess_cert_id_alg = sha256
"""


def openssl(folder, *arguments, **more):
    return subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, **more).stdout


def make(folder):
    folder.mkdir(parents=True, exist_ok=True)
    folder.joinpath("settings").write_text(SETTINGS)
    folder.joinpath("serial").write_text("01\n")
    new = ["-newkey", "rsa:2048", "-nodes", "-config", "settings", "-days", "2"]
    openssl(folder, "req", "-x509", *new, "-keyout", "root.key", "-out", "root.pem", "-subj", "/CN=Local root", "-extensions", "root")
    openssl(folder, "req", *new[:-2], "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=Local time")
    openssl(folder, "x509", "-req", "-in", "tsa.csr", "-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-days", "2",
            "-extfile", "settings", "-extensions", "tsa", "-out", "tsa.pem")


def main(folder):
    folder = Path(folder).resolve()
    make(folder)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            folder.joinpath("query").write_bytes(self.rfile.read(int(self.headers["content-length"])))
            reply = openssl(folder, "ts", "-reply", "-config", "settings", "-section", "authority", "-queryfile", "query",
                            "-signer", "tsa.pem", "-inkey", "tsa.key", "-chain", "root.pem")
            self.send_response(200)
            self.send_header("content-type", "application/timestamp-reply")
            self.send_header("content-length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
