"""Sends one signed (AWS Signature Version 4) request to $AWS_ENDPOINT_URL and prints the answer.

Standard library only, so that the stack starts without installing a client. It is not one: no
retries, no multipart, path style only.

    s3.py METHOD /BUCKET[/KEY][?QUERY] [NAME:VALUE]... [< BODY]

The body of a PUT or POST is standard input. Exits 0 when the status is 2xx.
"""

import collections
import datetime
import hashlib
import hmac
import http.client
import os
import sys
import urllib.parse


def signing_key(secret, *scope):
    """Derives the key for one day, region and service."""
    key = ("AWS4" + secret).encode()
    for part in scope:
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def authorization(method, target, headers, now):
    """The Authorization header; every header given is signed."""
    path, _, query = target.partition("?")
    arguments = sorted(urllib.parse.parse_qsl(query, keep_blank_values=True))
    names = ";".join(sorted(headers))
    canonical = "\n".join([
        method,
        path,
        urllib.parse.urlencode(arguments, quote_via=urllib.parse.quote, safe="-_.~"),
        *(f"{name}:{headers[name]}" for name in sorted(headers)),
        "",
        names,
        headers["x-amz-content-sha256"],
    ])
    scope = (now.strftime("%Y%m%d"), os.environ["AWS_REGION"], "s3", "aws4_request")
    to_sign = "\n".join([
        "AWS4-HMAC-SHA256",
        headers["x-amz-date"],
        "/".join(scope),
        hashlib.sha256(canonical.encode()).hexdigest(),
    ])
    key = signing_key(os.environ["AWS_SECRET_ACCESS_KEY"], *scope)
    return (
        f"AWS4-HMAC-SHA256 Credential={os.environ['AWS_ACCESS_KEY_ID']}/{'/'.join(scope)}, "
        f"SignedHeaders={names}, Signature={hmac.digest(key, to_sign.encode(), 'sha256').hex()}"
    )


Answer = collections.namedtuple("Answer", "status reason headers body")


def request(method, target, given=(), body=b""):
    """Sends one request, and reads all of its answer."""
    server = urllib.parse.urlsplit(os.environ["AWS_ENDPOINT_URL"]).netloc
    now = datetime.datetime.now(datetime.timezone.utc)
    headers = {name.lower(): value for name, value in (text.split(":", 1) for text in given)}
    headers["host"] = server
    headers["x-amz-date"] = now.strftime("%Y%m%dT%H%M%SZ")
    headers["x-amz-content-sha256"] = hashlib.sha256(body).hexdigest()
    headers["authorization"] = authorization(method, target, headers, now)
    connection = http.client.HTTPConnection(server, timeout=10)
    connection.request(method, target, body, headers)
    answer = connection.getresponse()
    return Answer(answer.status, answer.reason, answer.headers, answer.read())


def main(method, target, *given):
    """Sends it; the answer's status and headers go to standard error, its body to output."""
    body = sys.stdin.buffer.read() if method in ("PUT", "POST") else b""
    answer = request(method, target, given, body)
    print(answer.status, answer.reason, answer.headers, sep="\n", end="", file=sys.stderr)
    sys.stdout.buffer.write(answer.body)
    return 0 if answer.status // 100 == 2 else 1


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except OSError as reason:
        sys.exit(f"s3: {reason}")
