"""Asks the running S3 server what docs/reliability.md says of it, and prints one line for each question.

    stack.sh run --s3 KIND -- python3 tests/stack/differences.py

It shows what a server does; what we rely on is asserted by tests/it. Everything it locks, it locks for two minutes.
"""

import base64
import concurrent.futures
import datetime
import hashlib
import os
import re
import urllib.parse
import uuid

from s3 import request

BUCKET = "/" + os.environ["CHANCERY_TEST_S3_BUCKET"]
RACERS = 24


def key():
    """The target of an object that nobody has."""
    return f"{BUCKET}/differences/{uuid.uuid4().hex}"


def put(target, *headers, body=b"first"):
    """Writes it, with a checksum, as a sealer does."""
    return request("PUT", target, headers, body)


def lock(mode="COMPLIANCE", seconds=120):
    """The headers of a lock."""
    until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return (f"x-amz-object-lock-mode:{mode}", f"x-amz-object-lock-retain-until-date:{until:%Y-%m-%dT%H:%M:%SZ}")


def version(answer):
    """The part of a target that names the version an answer is of."""
    return "?versionId=" + urllib.parse.quote(answer.headers["x-amz-version-id"])


def said(answer):
    """The status, and the code where there is one."""
    code = re.search(rb"<Code>([^<]*)</Code>", answer.body)
    return f"{answer.status}{' ' + code[1].decode() if code else ''}"


def conditional():
    """Conditional PUT, 24 at once on one key"""
    target = key()
    once = lambda number: put(target, "if-none-match:*", body=b"%d" % number).status
    with concurrent.futures.ThreadPoolExecutor(RACERS) as pool:
        statuses = sorted(pool.map(once, range(RACERS)))
    return ", ".join(f"{statuses.count(status)} × {status}" for status in dict.fromkeys(statuses))


def lock_on_put():
    """Lock on the PUT, read back"""
    target = key()
    put(target, *lock())
    headers = request("HEAD", target).headers
    return f"{headers['x-amz-object-lock-mode']}, {'a date' if headers['x-amz-object-lock-retain-until-date'] else 'no date'}"


def delete_locked(mode):
    """DELETE of the locked version"""
    target = key()
    return said(request("DELETE", target + version(put(target, *lock(mode)))))


def shorten():
    """Retention shortened"""
    target = key()
    put(target, *lock(seconds=120))
    until = lock(seconds=60)[1].split(":", 1)[1]
    body = f"<Retention><Mode>COMPLIANCE</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>".encode()
    return said(request("PUT", target + "?retention", [md5(body)], body))


def md5(body):
    """The header that changes of retention and holds must have."""
    return "content-md5:" + base64.b64encode(hashlib.md5(body).digest()).decode()


def marker_then_put():
    """Delete marker over a locked object, then a conditional PUT"""
    target = key()
    put(target, *lock())
    marked = request("DELETE", target)
    return f"{said(marked)}, then {said(put(target, 'if-none-match:*'))}"


def overwrite():
    """Unconditional PUT over a locked object"""
    target = key()
    first = put(target, *lock())
    second = put(target, body=b"second")
    kept = request("GET", target + version(first)).body == b"first"
    return f"{said(second)}, {'the locked version stays' if kept else 'THE LOCKED VERSION IS CHANGED'}"


def versions():
    """Versions and markers listed"""
    target = key()
    put(target)
    put(target)
    request("DELETE", target)
    query = urllib.parse.urlencode({"versions": "", "prefix": target[len(BUCKET) + 1:]}, quote_via=urllib.parse.quote)
    listed = request("GET", f"{BUCKET}?{query}").body
    return f"{listed.count(b'<Version>')} versions, {listed.count(b'<DeleteMarker>')} marker"


def hold():
    """Legal hold set; DELETE of the held version"""
    target = key()
    first = put(target)
    body = b"<LegalHold><Status>ON</Status></LegalHold>"
    held = request("PUT", target + "?legal-hold", [md5(body)], body)
    return f"{said(held)}, {said(request('DELETE', target + version(first)))}"


def checksum():
    """PUT whose SHA-256 is another's"""
    wrong = base64.b64encode(hashlib.sha256(b"another").digest()).decode()
    return said(put(key(), f"x-amz-checksum-sha256:{wrong}"))


def default_retention():
    """The bucket's default retention, on a PUT without lock"""
    bucket = f"/default-{uuid.uuid4().hex}"
    request("PUT", bucket, ["x-amz-bucket-object-lock-enabled:true"])
    rule = "<Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule>"
    body = f"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>{rule}</ObjectLockConfiguration>".encode()
    given = request("PUT", bucket + "?object-lock", [md5(body)], body)
    put(bucket + "/a")
    mode = request("HEAD", bucket + "/a").headers["x-amz-object-lock-mode"]
    return f"{said(given)}, {'applied' if mode == 'GOVERNANCE' else 'not applied'}"


def suspend():
    """Versioning suspended on a bucket with lock"""
    body = b"<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>"
    return said(request("PUT", BUCKET + "?versioning", [md5(body)], body))


def main():
    """Asks everything."""
    asked = [
        (conditional.__doc__, conditional),
        (lock_on_put.__doc__, lock_on_put),
        ("DELETE of a version locked in compliance mode", lambda: delete_locked("COMPLIANCE")),
        ("DELETE of a version locked in governance mode", lambda: delete_locked("GOVERNANCE")),
        *((question.__doc__, question) for question in (
            shorten, overwrite, marker_then_put, versions, hold, checksum, default_retention, suspend)),
    ]
    print(f"| | {os.environ['CHANCERY_TEST_S3_KIND']} |\n|---|---|")
    for name, question in asked:
        print(f"| {name} | {question()} |")


if __name__ == "__main__":
    main()
