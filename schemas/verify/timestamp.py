"""RFC 3161 time-stamps, which are left to `openssl ts -verify`: it is called where it is there and roots were given."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

SECONDS_MAX = 30


def check_timestamp(reply, stamped, roots, report, name):
    """The problems with a reply over the bytes; what it says, or that it was not looked at, is told."""
    if roots is None or not shutil.which("openssl"):
        report.tell([f"{name}: not checked; that is for `openssl ts -verify -data CHECKPOINT -in REPLY -CAfile ROOTS`"
                     + ("" if roots is None else ", which is not there")])
        return
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, part) for part in ("reply", "stamped")]
        for path, data in zip(paths, (reply, stamped)):
            path.write_bytes(data)
        verified = openssl("-verify", "-data", paths[1], "-in", paths[0], "-CAfile", roots)
        if verified.returncode:
            yield f"openssl does not verify it: {' '.join(verified.stderr.split())[-200:]}"
            return
        shown = re.search("Time stamp: (.*)", openssl("-reply", "-in", paths[0], "-text").stdout)
        report.tell([f"{name}: stamped at {shown[1] if shown else 'an unknown time'}, says its authority"])


def openssl(*arguments):
    return subprocess.run(["openssl", "ts", *map(str, arguments)], capture_output=True, text=True, errors="replace",
                          timeout=SECONDS_MAX, stdin=subprocess.DEVNULL)
