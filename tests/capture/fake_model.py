#!/usr/bin/env python3
"""A model that answers with recordings: `fake_model.py EXCHANGES [--port N] [--log FILE]`.

It picks the recorded answer by the shape of the request: the API, streamed or not, which tools are offered and
whether the last message is a tool's result. What comes back are the recorded bytes; where no recording fits the answer
is 404. Prints its URL; with `--log`, a line of JSON for each request says which exchange was served.
It does not judge keys, count tokens or make an answer up.
"""

import argparse
import gzip
import json
import sys
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import cassette

KEPT_HEADERS = ("content-type", "x-request-id", "request-id", "openai-processing-ms", "openai-version")


def pick(exchanges, path, asked):
    """The recorded exchange that fits best, or none."""
    api = cassette.api_of(path)
    known = [e for e in exchanges if e.api == api]
    fitting = [e for e in known if refuses(e, asked)] or [e for e in known if fits(e, asked)]
    return max(fitting, key=lambda e: (likeness(e, asked), -e.line), default=None)


def refuses(exchange, asked):
    """Whether just this question was refused."""
    was = exchange.question
    same = was is not None and (was.user, was.model, was.stream) == (asked.user, asked.model, asked.stream)
    return same and exchange.record["status"] >= 400 and not asked.results


def fits(exchange, asked):
    """Whether the recorded answer is one that could have been given."""
    was, said = exchange.question, exchange.answer
    if exchange.record["status"] != 200 or not exchange.body or was is None or said is None:
        return False
    if was.stream != asked.stream:
        return False
    if asked.tools and not asked.after_tool:
        return bool(said.calls) and all(call_fits(call, asked.tools) for call in said.calls)
    return not said.calls and (bool(said.text) or exchange.api not in ("chat", "responses", "messages", "gemini"))


def call_fits(call, tools):
    """Whether a tool of that name is offered and takes these arguments."""
    schema = tools.get(call["name"])
    if schema is None:
        return False
    given = set(call["arguments"])
    return given <= set(schema.get("properties", {})) and set(schema.get("required", [])) <= given


def likeness(exchange, asked):
    """How alike two questions are; the earlier a trait stands, the more it weighs."""
    was = exchange.question
    return (
        was.after_tool == asked.after_tool,
        bool(set(was.results) & set(asked.results)),
        exchange.url.netloc == cassette.HOME.get(exchange.api, exchange.url.netloc),
        len(set(was.tools) & set(asked.tools)),
        -len(set(was.tools) ^ set(asked.tools)),
        bool(was.user) and asked.user.startswith(was.user),
        was.model == asked.model,
        was.system == asked.system,
    )


class Model(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        """Answers a question."""
        self.answer()

    def do_GET(self):
        """Answers a look-up that was recorded under the same path."""
        self.answer()

    def answer(self):
        """Finds the recording and sends it."""
        path = urlsplit(self.path).path
        body = self.body()
        try:
            value = json.loads(body) if body else {}
            asked = cassette.question_of(path, value) if isinstance(value, dict) else None
        except ValueError:
            asked = None
        if asked is None:
            return self.refuse(400, f"{self.command} {path}: the body is not a JSON object")
        if body:
            found = pick(self.server.exchanges, path, asked)
        else:
            found = next((e for e in self.server.exchanges if same_request(e, self.command, path)), None)
        self.server.note(
            {
                "line": found.line if found else None,
                "path": path,
                "stream": asked.stream,
                "model": asked.model,
                "tools": sorted(asked.tools),
                "after_tool": asked.after_tool,
                "user_agent": self.headers.get("user-agent", ""),
            }
        )
        if found is None:
            shape = f"stream={asked.stream} tools={sorted(asked.tools)} after_tool={asked.after_tool}"
            return self.refuse(404, f"no recorded exchange fits {self.command} {path}: {shape}")
        return self.serve(found, asked.stream)

    def body(self):
        """The request's body, whole and without its encoding."""
        if "chunked" in self.headers.get("transfer-encoding", ""):
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            body = b"".join(parts)
        else:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
        encoding = self.headers.get("content-encoding", "")
        if encoding == "gzip":
            return gzip.decompress(body)
        return zlib.decompress(body) if encoding == "deflate" else body

    def serve(self, exchange, stream):
        """Sends a recorded answer; a stream goes event by event."""
        recorded = {k.lower(): v for k, v in exchange.record["response_headers"].items()}
        self.send_response(exchange.record["status"])
        kept = {name: recorded[name] for name in KEPT_HEADERS if name in recorded}
        kept.setdefault("content-type", "text/event-stream; charset=utf-8" if stream else "application/json")
        for name, value in kept.items():
            self.send_header(name, value)
        if not stream:
            self.send_header("content-length", str(len(exchange.body)))
            self.end_headers()
            self.wfile.write(exchange.body)
            return
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for part in split_keeping(exchange.body, b"\n\n"):
            self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def refuse(self, status, message):
        """Says why there is no answer."""
        print(f"fake_model: {status}: {message}", file=sys.stderr)
        body = json.dumps({"error": {"type": "no_recording", "message": message}}).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Requests are told in the log file only."""


def same_request(exchange, method, path):
    """A look-up (no body) is matched by its path alone."""
    return exchange.record["method"] == method and exchange.url.path == path and exchange.record["status"] == 200


def split_keeping(body, mark):
    """The parts of a body, each with the mark that ends it."""
    parts = body.split(mark)
    whole = [part + mark for part in parts[:-1]] + parts[-1:]
    return [part for part in whole if part]


class Server(ThreadingHTTPServer):
    """The listening socket, the recordings, the log."""

    daemon_threads = True

    def __init__(self, port, exchanges, log):
        super().__init__(("127.0.0.1", port), Model)
        self.exchanges, self.log, self.lock = exchanges, log, threading.Lock()

    def note(self, line):
        """Appends a line to the log."""
        if self.log:
            with self.lock:
                self.log.write(json.dumps(line) + "\n")
                self.log.flush()


def main():
    """Serves until it is stopped."""
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument("exchanges")
    flags.add_argument("--port", type=int, default=0)
    flags.add_argument("--log", type=argparse.FileType("a"))
    given = flags.parse_args()
    server = Server(given.port, cassette.load(given.exchanges), given.log)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
