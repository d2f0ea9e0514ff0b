"""Checks Chancery stores, segments and evidence bundles: an independent reader, written from docs/format.md alone.

It needs the standard library and, but for bundles, pyarrow; it shares no code with the product nor with the script that makes the
vectors. Here is what is asked and printed; log.py checks a log, chain.py a partition, segment.py a segment, bundle.py a bundle.
Exit status: 0 nothing found, 2 usage, 3 findings, 4 something could not be read. What it does not check, it says.
"""

import argparse
import json
import os
import re
import sys
from pathlib import Path

sys.dont_write_bytecode = True

import bundle  # noqa: E402
from log import Log  # noqa: E402
from note import BadNote, Trust  # noqa: E402
from record import TOPIC  # noqa: E402

UNCHECKED = ("not checked: signatures of sources,{} object lock and versions, the broker's own offsets, content of encrypted "
             "bodies, context digests, values in page indexes, bytes that no page and no footer uses, repeated metadata keys, a "
             "Confluent registry; claim-checked bodies absent: {}; raw rows not judged: {}")
PLACE = f"(?P<topic>{TOPIC})/(?P<partition>[0-9]{{5}})/(?P<epoch>[0-9]{{10}})"
KEYS = {"epochs": re.compile(f"epochs/{PLACE}"), "segments": re.compile(f"segments/{PLACE}/(?P<start>[0-9]{{20}})[.]parquet"),
        "records": re.compile(f"records/{PLACE}/(?P<start>[0-9]{{20}})[.]record")}


def main(arguments):
    parser = argparse.ArgumentParser(description="Checks Chancery stores and segments against docs/format.md.")
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of lines")
    parser.add_argument("--trust", metavar="FILE", type=Path, help="whom to trust: verifier keys, one a line, or a C2SP policy")
    parser.add_argument("--tsa-ca", metavar="FILE", type=Path, help="roots of time-stamping authorities, in PEM, for openssl")
    parser.add_argument("path", nargs="+", type=Path, help="the folder of a store, the file of a segment, or an evidence bundle")
    options = parser.parse_args(arguments)
    report, trust = Report(options.json), None
    try:
        trust = options.trust and Trust(options.trust.read_bytes())
    except (OSError, BadNote) as error:
        parser.error(f"--trust {options.trust}: {error}")
    for path in options.path:
        if not path.is_file():
            check_store(path, report, trust, options.tsa_ca)
        elif path.suffix == ".zip" or path.read_bytes()[:2] == b"PK":
            if trust is None:
                parser.error("a bundle is checked with a key that you have, not with one that it has: --trust FILE")
            bundle.check(path, report, trust, options.tsa_ca)
        else:
            check_file(path, report)
    return report.end()


class Report:
    """Findings in the order of discovery, and what is printed of them."""

    def __init__(self, quiet):
        self.quiet, self.findings, self.settled, self.unread, self.told = quiet, [], 0, [], []
        self.segments = self.rows = self.events = self.absent = self.unjudged = self.expired = self.unenrolled = 0
        self.stores = self.logs = self.bundles = 0

    def add(self, kind, key, reason, offset=None):
        place = re.match(f"[a-z]+/({TOPIC})/([0-9]{{5}})/", key)
        partition = f"{place[1]}/{int(place[2])}" if place else None
        self.findings.append({"kind": kind, "object": key, "partition": partition, "offset": offset, "reason": reason})

    def settle(self, key=None, good=None):
        """Prints what was found since the last time; `good` where none of it is about the object."""
        fresh, self.settled = self.findings[self.settled:], len(self.findings)
        for finding in fresh:
            where = "" if finding["offset"] is None else f"offset {finding['offset']}: "
            self.say(f"BAD {finding['object']}: {where}{finding['reason']}")
        if good and all(finding["object"] != key for finding in fresh):
            self.say(f"ok  {key}  {good}")

    def tell(self, lines):
        self.told.extend(lines)

    def say(self, line, out=None):
        if not self.quiet or out:
            print(line.encode("unicode_escape").decode("ascii"), file=out or sys.stdout)

    def end(self):
        self.settle()
        for problem in self.unread:
            self.say(f"could not read {problem}", sys.stderr)
        for line in self.told:
            self.say(line)
        if self.unenrolled:
            self.say(f"not enrolled in the log yet: {self.unenrolled} segments")
        if self.expired:
            self.say(f"gone, their retention having passed: {self.expired} segments")
        if self.segments or not self.bundles:
            self.say(f"{self.segments} segments, {self.rows} rows, {self.events} events, {len(self.findings)} findings")
            unseen = "" if self.logs == self.stores else " the log and its checkpoints,"
            self.say(UNCHECKED.format(unseen, self.absent, self.unjudged))
        if self.quiet:
            ok = not self.findings and not self.unread
            print(json.dumps({"ok": ok, "segments": self.segments, "events": self.events, "findings": self.findings,
                              "told": self.told}))
        return 3 if self.findings else 4 if self.unread else 0


class Store:
    def __init__(self, root, report):
        self.root, self.report = root, report

    def read(self, key):
        """The bytes of an object; None where there is none, or where it cannot be read, which is then reported."""
        try:
            return (self.root / key).read_bytes() if self.root else None
        except FileNotFoundError:
            return None
        except OSError as error:
            self.report.unread.append(f"{key}: {error}")
            return None

    def keys(self, prefix):
        for folder, _, names in os.walk(self.root / prefix, onerror=self.refused):
            yield from (Path(folder, name).relative_to(self.root).as_posix() for name in names)

    def refused(self, error):
        if not isinstance(error, FileNotFoundError):
            self.report.unread.append(str(error))


def check_file(path, report):
    """A segment alone: nothing is known of its chain; its record is looked at where it lies in a store."""
    from chain import check_segment  # not before: a bundle is checked without pyarrow
    parts = path.resolve().parts
    key, root = "/".join(parts[-5:]), Path(*parts[:-5])
    if not KEYS["segments"].fullmatch(key):
        key, root = path.name, None
    try:
        report.settle(key, check_segment(Store(root, report), key, path.read_bytes(), report, alone=True).good)
    except OSError as error:
        report.unread.append(f"{path}: {error}")


def check_store(path, report, trust, tsa):
    from chain import Chain
    root = next((at for at in (path, path / "store") if any((at / name).is_dir() for name in ("epochs", "segments", "log"))), None)
    if root is None:
        report.unread.append(f"{path}: neither a store nor a segment")
        return
    store, partitions, log = Store(root, report), {}, None
    report.stores += 1
    if (root / "log").exists():
        log = Log(store, report, trust, tsa)
        log.check()
        report.logs += 1
    elif trust:
        report.add("log", "log/checkpoint", "there is no log that the key could have signed")
    for prefix, pattern in KEYS.items():
        enrolled = [key for key in log.enrolled if key.startswith(prefix)] if log else []
        for key in sorted({*store.keys(prefix), *enrolled}):
            if match := pattern.fullmatch(key):
                held = partitions.setdefault((match["topic"], match["partition"]), {name: {} for name in KEYS})
                held[prefix].setdefault(int(match["epoch"]), []).append(key)
            else:
                report.add("junk", key, "no object has such a name")
    for place in sorted(partitions):
        Chain(store, f"{place[0]}/{place[1]}", partitions[place], report, log and log.enrolled).check()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
