"""Tests of evidence bundles: the golden ones hold, and none that was changed does.

A bundle that is changed is closed again with the right hash, so that only the change can give it away.
"""

import base64
import io
import re
import subprocess
import sys
import tempfile
import unittest
import warnings
import zipfile
from pathlib import Path

from test_log import MADE, TRUST
from test_verify import V1, findings, run

import archive
import bundle
import bundles as golden
import chancery_spec as spec
import tlog

SIZE = 264


class Bundles(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name, "bundle.zip")

    def held(self, name):
        with zipfile.ZipFile(V1 / "bundles" / f"{name}.zip") as opened:
            return {entry.filename: opened.read(entry) for entry in opened.infolist()}

    def reasons(self, data, trust="policy"):
        self.path.write_bytes(data)
        return [(f["object"], f["reason"]) for f in findings(self.path, "--trust", TRUST[trust])]

    def assertRefused(self, where, reason, held, trust="policy"):
        found = self.reasons(held if isinstance(held, bytes) else golden.zipped(held), trust)
        self.assertTrue(len(found) == 1 and found[0][0] == where and reason in found[0][1], (where, reason, found))

    def test_the_golden_bundles_hold_stored_or_deflated_with_either_trust(self):
        names = sorted(path.stem for path in (V1 / "bundles").glob("*.zip"))
        self.assertEqual(len(names), 8)
        for name in names:
            self.assertEqual(self.reasons(golden.zipped(self.held(name), stored=False)), [])
            self.assertEqual(self.reasons(golden.zipped(self.held(name)), "vkey"), [])

    def test_it_needs_no_pyarrow_and_a_key(self):
        script = Path(bundle.__file__).with_name("verify.py")
        blocked = ("import runpy, sys; sys.modules['pyarrow'] = None; sys.argv = sys.argv[1:]; "
                   "sys.path.insert(0, sys.argv[0][:-9]); runpy.run_path(sys.argv[0], run_name='__main__')")
        for more, status in (((), 2), (("--trust", str(TRUST["policy"])), 0)):
            command = [sys.executable, "-c", blocked, str(script), *more, str(V1 / "bundles/session.zip")]
            done = subprocess.run(command, capture_output=True, text=True)
            self.assertEqual(done.returncode, status, done.stderr)
        self.assertIn("are all of session acme/alpha-0 in records at offsets 0 to 14", done.stdout)
        self.assertIn("witness w1 saw it at", done.stdout)

    def test_a_flipped_bit_is_found(self):
        held = (V1 / "bundles/event.zip").read_bytes()
        for place in range(len(held)):
            flipped = held[:place] + bytes([held[place] ^ 1 << place % 8]) + held[place + 1:]
            self.assertRaises(archive.BadArchive, archive.unpack, flipped, bundle.NAMES)

    def test_a_flipped_byte_of_any_file_is_refused_by_what_the_file_is(self):
        """The zip is closed again each time. Words for people, and what its maker says of itself, prove nothing and may be any;
        of another session, or in another time, an absence may hold too."""
        free = {"event": {b"monitor", b"made_at", b"writer"}}
        free["absent-within"] = free["event"] | {b"from", b"to", b"key"}
        for name in free:
            held = self.held(name)
            for file in sorted(held.keys() - {"VERIFY.md", "bundle.html"}):
                content = held[file]
                for place in sorted({*range(0, len(content), max(1, len(content) // 20)), len(content) - 1}):
                    flipped = content[:place] + bytes([content[place] ^ 1]) + content[place + 1:]
                    line = content[content.rfind(b"\n", 0, place) + 1:].split(b" ")[0]
                    found = self.reasons(golden.zipped(held | {file: flipped}))
                    if file != "bundle" or line not in free[name]:
                        self.assertEqual(len(found), 1, (name, file, place))

    def test_files_that_are_missing_or_too_many_are_refused(self):
        for name in ("event", "session", "absent-until"):
            held = self.held(name)
            for file in held:
                if file not in ("VERIFY.md", "bundle.html"):
                    left = {other: content for other, content in held.items() if other != file}
                    self.assertEqual(len(self.reasons(golden.zipped(left))), 1, (name, file))
            self.assertRefused("more", "no file of a bundle", held | {"more": b""})
            self.assertRefused("bodies/" + "0" * 64, "no event that is shown names it", held | {"bodies/" + "0" * 64: bytes(20)})
        needed = {file: content for file, content in held.items() if file not in ("VERIFY.md", "bundle.html")}
        self.assertEqual(self.reasons(golden.zipped(needed)), [])

    def test_what_is_no_zip_of_a_bundle_is_refused(self):
        held = golden.zipped(self.held("event"))
        self.assertRefused("bundle.zip", "hash", held + b"x")
        self.assertRefused("bundle.zip", "hash", held[:-1])
        for junk in (b"", b"PK", bytes(200)):
            closed = junk + spec.sha256(junk).hex().encode()
            self.assertRefused("bundle.zip", "not a zip", closed)
        twice = zip_of([("bundle", b""), ("bundle", b"")])
        self.assertRefused("bundle", "two have it", twice)
        self.assertRefused("bundle", "flags, extra fields", zip_of([("bundle", b"")], extra=b"\1\2\0\0"))
        self.assertRefused("bundle", "neither stored nor deflated", zip_of([("bundle", b"x")], method=zipfile.ZIP_BZIP2))
        before = golden.zipped(self.held("event"))[:-64]
        for reason, changed in (("does not end where", before[:-22] + b"x" + before[-22:]), ("not a zip", before[:-1]),
                                ("does not end where", b"x" + before)):
            self.assertRefused("bundle.zip", reason, changed + spec.sha256(changed).hex().encode())

    def line(self, held, file, old, new):
        self.assertIn(old, held[file])
        return held | {file: held[file].replace(old, new, 1)}

    def test_another_signer_or_too_few_witnesses_are_refused(self):
        held = self.held("session")
        self.assertRefused("checkpoint", "no key that was given", held, "first.vkey")
        line = held["cosignatures"].splitlines(True)[0]
        fewer = {file: content.replace(line, b"") for file, content in held.items()}
        self.assertRefused("cosignatures", "fewer witnesses", fewer)
        self.assertEqual(self.reasons(golden.zipped(fewer), "vkey"), [])
        twice = {file: content.replace(line, line * 2) for file, content in held.items()}
        self.assertRefused("cosignatures", "two signatures of one key", twice)
        text = MADE.log.checkpoints[SIZE].partition("\n\n")[0] + "\n"
        forged = tlog.note(text.replace("264", "265"), MADE.new.sign(text)).encode()
        self.assertRefused("checkpoint", "claim's origin and size", held | {"checkpoint": forged})
        self.assertRefused("checkpoint", "is false", self.line(held | {"checkpoint": forged}, "bundle", b"size 264", b"size 265"))

    def test_a_proof_of_another_length_index_or_checkpoint_is_refused(self):
        held, file = self.held("event"), "links/00000000/proof"
        lines = held[file].splitlines(True)
        for reason, changed in (("hashes where", [*lines[:2], *lines[3:]]), ("hashes where", [*lines[:3], *lines[2:]]),
                                ("not lead", [*lines[:2], lines[3], lines[2], *lines[4:]]),
                                ("not lead", [lines[0], b"index 1\n", *lines[2:]]),
                                ("not in the tree", [lines[0], b"index 264\n", *lines[2:]]),
                                ("not a proof", [lines[0], b"extra AAAA\n", *lines[1:]]), ("not that of the bundle", lines[:-1])):
            self.assertRefused(file, reason, held | {file: b"".join(changed)})

    def test_a_session_with_one_event_less_is_refused(self):
        held = self.held("session")
        file = "links/00000002/rows"
        row = re.search(rb"row 10\n.*?\n(?=row |other |\Z)", held[file], re.S)[0]
        self.assertRefused(file, "the range proof has too few hashes", held | {file: held[file].replace(row, b"")})
        # Honest hashes in place of the row: the neighbour is not one any more.
        rows = MADE.zero.segments[2][1]
        session = spec.session_key("acme", MADE.alpha)
        at = next(n for n, shown in enumerate(rows) if shown["session_key"] == session)
        rest = rows[:at] if at else rows[1:]
        left, right = spec.range_proof(rows.index(rest[0]), rows.index(rest[0]) + 1, [shown["leaf"] for shown in rows])
        nodes = [("left", node.hex()) for node in left] + [("right", node.hex()) for node in right]
        text = spec.lines("chancery/rows@v1", [("size", 2), ("start", rows.index(rest[0])), *nodes])
        text += f"other {rest[0]['session_key'].hex()} {rest[0]['offset']} {rest[0]['row_digest'].hex()}\n"
        self.assertRefused(file, "a neighbour is missing", held | {file: text.encode()})

    def test_a_session_without_one_of_its_links_is_refused(self):
        shown = golden.links(MADE, 1, 6)
        for n in (1, 2, 3):
            less = golden.bundle(MADE, "session", MADE.alpha, shown[:n] + shown[n + 1:], [], {})
            self.assertRefused(f"links/{n:08}/entry", "begins at" if n == 1 else "", less)
        swapped = golden.bundle(MADE, "session", MADE.alpha, [shown[1], shown[0]], [], {})
        self.assertRefused("links/00000001/proof", "ascend", swapped)

    def test_claims_that_the_rows_do_not_bear_out_are_refused(self):
        shown = golden.links(MADE, 0, 6)
        times = {"from": 0, "to": 10 ** 15}
        there = golden.bundle(MADE, "absent", MADE.alpha, shown, [], times)
        self.assertRefused("links/00000001/rows", "shows a row of the session in that time", there)
        late = times | {"from": max(golden.times(MADE, 0)) + 1}
        cut = golden.bundle(MADE, "absent", MADE.gone, shown[2:], [], late)
        self.assertRefused("links/00000000/entry", "before it may hold", cut)
        self.assertRefused("bundle", "no row of the session", golden.bundle(MADE, "session", MADE.gone, shown, [], {}))
        elsewhere = next(name for name in (f"x-{n}" for n in range(99)) if spec.partition_of(f"acme/{name}".encode(), 3))
        another = golden.bundle(MADE, "absent", elsewhere, shown, [], times)
        self.assertRefused("links/00000000/entry", "not of this partition", another)
        event = {"event": MADE.base[1].digest.hex()}
        self.assertRefused("bundle", "record", golden.bundle(MADE, "event", MADE.alpha, shown[:1], [], event))
        good = golden.bundle(MADE, "event", MADE.alpha, shown[1:2], [], event)
        self.assertEqual(self.reasons(good), [])
        with zipfile.ZipFile(io.BytesIO(good)) as opened:
            held = {entry.filename: opened.read(entry) for entry in opened.infolist()}
        self.assertRefused("links/00000000/rows", "another event", self.line(held, "bundle", event["event"].encode(), b"0" * 64))
        key = base64.b64encode(f"acme/{MADE.beta}".encode())
        self.assertRefused("links/00000000/rows", "record's root", self.line(
            held, "bundle", base64.b64encode(f"acme/{MADE.alpha}".encode()), key))
        self.assertRefused("bundle", "counts other bodies", self.line(held, "bundle", b"withheld 1", b"withheld 2"))

    def test_an_absence_reaches_as_far_as_records_and_the_heartbeat_do(self):
        for name in ("absent", "absent-waiting", "absent-until", "absent-within", "absent-between"):
            _, printed = run("--trust", TRUST["vkey"], V1 / "bundles" / f"{name}.zip")
            self.assertEqual("not proven: that it has none" in printed, name in ("absent", "absent-waiting"), printed)
        held = self.held("absent-until")
        self.assertRefused("heartbeat/entry", "not there", {file: held[file] for file in held if file != "heartbeat/entry"})
        older = next(text for text in MADE.log.entries if text.startswith("chancery/heartbeat"))
        self.assertRefused("heartbeat/proof", "ascend", held | {
            "heartbeat/entry": older.encode(), "heartbeat/proof": MADE.log.proof(older, SIZE, MADE.cosigned[SIZE]).encode()})
        times = {"from": 0, "to": 1}
        cut = golden.bundle(MADE, "absent", MADE.gone, golden.links(MADE, 1, 4), [], times, beat=MADE.log.entries[-1])
        self.assertRefused("heartbeat/entry", "not name the last link", cut)

    def test_a_row_of_the_session_at_another_time_is_shown_and_one_of_that_time_is_not_absent(self):
        shown, first = golden.links(MADE, 3, 6), max(golden.times(MADE, 2)) + 1
        late = max(golden.times(MADE, 3))
        for after, reason in ((late, None), (late + 1, "a row of the session in that time")):
            made = golden.bundle(MADE, "absent", MADE.alpha, shown, [], {"from": first, "to": after})
            if reason:
                self.assertRefused("links/00000002/rows", reason, made)
            else:
                self.assertEqual(self.reasons(made), [])

    def test_a_raw_row_is_no_event(self):
        raw = spec.raw_digest(MADE.tombstone[0]["raw_salt"], None).hex()
        made = golden.bundle(MADE, "event", MADE.alpha, golden.links(MADE, 1, 2), [], {"event": raw})
        self.assertRefused("links/00000000/rows", "another event, or none", made)

    def test_a_disclosed_body_of_another_text_is_refused(self):
        held = self.held("session")
        file = next(name for name in held if name.startswith("bodies/"))
        self.assertRefused(file, "digest", held | {file: held[file][:16] + b"You are a bank robber."})


def zip_of(members, extra=b"", method=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, content in members:
            member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            member.extra = extra
            made.writestr(member, content, method)
        made.comment = bytes(64)
    return out.getvalue()[:-64] + spec.sha256(out.getvalue()[:-64]).hex().encode()


class Timestamps(unittest.TestCase):
    """A time-stamping authority of openssl's, in a folder."""

    def test_openssl_is_asked_where_roots_are_given(self):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            reply = stamp(folder, MADE.log.checkpoints[SIZE].encode())
            held = Bundles.held(self, "event") | {"timestamps/local.tsr": reply}
            path = folder / "bundle.zip"
            path.write_bytes(golden.zipped(held))
            roots = ("--tsa-ca", folder / "ca.pem")
            status, printed = run("--trust", TRUST["policy"], path)
            self.assertTrue(status == 0 and "timestamps/local.tsr: not checked" in printed, printed)
            status, printed = run("--trust", TRUST["policy"], *roots, path)
            self.assertTrue(status == 0 and "timestamps/local.tsr: stamped at " in printed, printed)
            for bad in (stamp(folder, b"another text"), reply[:-1], reply[:-9] + bytes([reply[-9] ^ 1]) + reply[-8:]):
                path.write_bytes(golden.zipped(held | {"timestamps/local.tsr": bad}))
                status, printed = run("--trust", TRUST["policy"], *roots, path)
                self.assertTrue(status == 3 and "openssl does not verify it" in printed, printed)


def stamp(folder, data):
    """The reply of an authority that is made in the folder when it is first asked."""
    config = folder / "tsa.cnf"

    def openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, cwd=folder)
    if not config.exists():
        config.write_text("[req]\ndistinguished_name = name\n[name]\n[ext]\nextendedKeyUsage = critical, timeStamping\n"
                          "[tsa]\nserial = serial\nsigner_digest = sha256\ndefault_policy = 1.2.3.4\ndigests = sha256\n"
                          "ess_cert_id_alg = sha256\n")
        (folder / "serial").write_text("01\n")
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "ca.pem", "-subj", "/CN=Local time",
                "-days", "2", "-config", config, "-extensions", "ext")
    (folder / "data").write_bytes(data)
    openssl("ts", "-query", "-data", "data", "-sha256", "-cert", "-out", "query")
    openssl("ts", "-reply", "-config", config, "-section", "tsa", "-queryfile", "query", "-signer", "ca.pem", "-inkey", "key.pem",
            "-out", "reply")
    return (folder / "reply").read_bytes()


if __name__ == "__main__":
    unittest.main()
