"""Copies what lies in a bucket under a prefix to a folder, for checks that read files.

    download.py BUCKET/PREFIX FOLDER
"""

import pathlib
import sys
import urllib.parse
import xml.etree.ElementTree

import s3


def keys(bucket, prefix):
    """All keys under the prefix, page by page."""
    after = ""
    while True:
        query = urllib.parse.urlencode(
            {"list-type": 2, "prefix": prefix, "start-after": after}, quote_via=urllib.parse.quote)
        page = xml.etree.ElementTree.fromstring(get(f"/{bucket}?{query}"))
        found = [node.text for node in page.iter() if node.tag.endswith("}Key") or node.tag == "Key"]
        yield from found
        if not found:
            return
        after = found[-1]


def get(target):
    """The body of an answer that is good."""
    answer = s3.request("GET", target)
    if answer.status != 200:
        sys.exit(f"copy: {target}: {answer.status} {answer.reason}")
    return answer.body


def main(source, folder):
    """Copies each key to a path of the same name."""
    bucket, _, prefix = source.partition("/")
    for key in keys(bucket, f"{prefix}/"):
        path = pathlib.Path(folder, key.removeprefix(f"{prefix}/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(get(f"/{bucket}/{urllib.parse.quote(key)}"))


if __name__ == "__main__":
    main(*sys.argv[1:])
