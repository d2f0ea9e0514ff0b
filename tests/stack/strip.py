"""A proxy before $AWS_ENDPOINT_URL that drops `If-None-Match`, as a careless one does.

The rest it passes on, signed anew. Prints its port, and serves until it is killed.
"""

import datetime
import http.client
import http.server
import os
import urllib.parse

import s3

DROPPED = {"if-none-match", "authorization", "host", "connection", "content-length"}


class Strip(http.server.BaseHTTPRequestHandler):
    """One connection from a client; each request goes on over one of its own."""

    protocol_version = "HTTP/1.1"

    def forward(self):
        """Sends the request on, and its answer back."""
        server = urllib.parse.urlsplit(os.environ["AWS_ENDPOINT_URL"]).netloc
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        given = {name.lower(): value for name, value in self.headers.items()}
        headers = {name: value for name, value in given.items() if name not in DROPPED}
        now = datetime.datetime.now(datetime.timezone.utc)
        headers["host"] = server
        headers["x-amz-date"] = now.strftime("%Y%m%dT%H%M%SZ")
        headers["authorization"] = s3.authorization(self.command, self.path, headers, now)
        connection = http.client.HTTPConnection(server, timeout=10)
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"connection", "content-length", "transfer-encoding"}:
                self.send_header(name, value)
        length = answer.getheader("content-length", "0") if self.command == "HEAD" else len(content)
        self.send_header("content-length", str(length))
        self.end_headers()
        self.wfile.write(content)
        connection.close()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = forward

    def log_message(self, *_):
        """Says nothing."""


if __name__ == "__main__":
    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Strip)
    proxy.daemon_threads = True
    print(proxy.server_address[1], flush=True)
    proxy.serve_forever()
