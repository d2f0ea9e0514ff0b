"""Tests of the verifier: it agrees with the vectors, and it finds whatever is done to the golden stores.

A flipped byte is tried at every place of the texts and at places all over the segments. Segments encoded anew, with records that
fit them, come from the script that made the vectors, so that only their content can give them away.
"""

import contextlib
import hashlib
import io
import json
import shutil
import struct
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
GOLDEN = HERE.parent / "golden"
sys.path[:0] = [str(HERE), str(GOLDEN)]

import chain  # noqa: E402
import chancery_spec as spec  # noqa: E402
import message  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
import segment  # noqa: E402
import tree  # noqa: E402
import verify  # noqa: E402

V1 = GOLDEN / "v1"
PLACES = 300  # flipped bytes tried in a segment
SEEN = {}  # bytes of a segment -> what checking them gave


def remembered(data, root, examine=chain.isolated):
    """Checks the same bytes once: what they give depends on nothing else but claim-checked bodies."""
    if data not in SEEN:
        SEEN[data] = examine(data, root)
    return SEEN[data]


def run(*arguments):
    """(exit status, what is printed)"""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        status = verify.main(list(map(str, arguments)))
    return status, out.getvalue()


def findings(*arguments):
    status, printed = run("--json", *arguments)
    told = json.loads(printed)
    assert told["ok"] == (status == 0) and bool(told["findings"]) == (status == 3), printed
    return told["findings"]


def vectors(name):
    return json.loads((V1 / f"{name}.json").read_text())


def data(text):
    return None if text is None else bytes.fromhex(text)


class Vectors(unittest.TestCase):
    def setUp(self):
        message.know((HERE.parent / "avro" / "agent_event.avsc").read_bytes())

    def test_every_message_becomes_the_row_it_should(self):
        for case in vectors("events"):
            with self.subTest(case["name"]):
                want, value, key = case["expected"], data(case["value"]), data(case["key"])
                framing = message.CONFLUENT if case["framing"] == "confluent" else message.SINGLE
                registry = {b"\0" + struct.pack(">I", int(number)): data(schema)
                            for number, schema in (case["registry"] or {}).items()}
                place = case["partition"], case["partitions"]
                self.assertEqual(message.reasons(value, key, place, {framing}, registry), {want.get("reason")})
                checker = segment.Segment(b"")
                checker.place, checker.schemas, checker.framings, checker.registry = place, set(message.KNOWN), {framing}, registry
                leaf, envelope = checker.check_row(row_of(case))
                self.assertEqual((leaf.hex(), checker.findings), (want["leaf"], []))
                for name, view in want.get("views", {}).items():
                    held = envelope[name]
                    self.assertEqual(held.hex() if isinstance(held, bytes) else held, view)

    def test_roots_and_range_proofs_are_those_of_the_leaves(self):
        told = vectors("merkle")
        leaves = list(map(data, told["leaves"]))
        roots = {case["n"]: data(case["root"]) for case in told["roots"]}
        for n, root in roots.items():
            self.assertEqual(segment.merkle_root(leaves[:n]), root)
        for case in told["ranges"]:
            left, right = list(map(data, case["left"])), list(map(data, case["right"]))
            inside = leaves[case["a"]:case["b"]]
            self.assertEqual(tree.root_of_range(case["n"], case["a"], inside, left, right), roots[case["n"]])
        for case in told["inclusion"]:
            proof = list(map(data, case["proof"]))
            self.assertEqual(tree.included(case["i"], case["n"], leaves[case["i"]], proof), roots[case["n"]])

    def test_session_proofs_prove_what_they_claim(self):
        for case in vectors("proofs"):
            shown = [case["before"], *case["leaves"], case["after"]]
            shown = [leaf for leaf in shown if leaf]
            leaves = [hashlib.sha256(b"\0" + data(leaf["session_key"]) + struct.pack(">Q", leaf["offset"])
                                     + data(leaf["row_digest"])).digest() for leaf in shown]
            (a, b), left, right = case["range"], list(map(data, case["left"])), list(map(data, case["right"]))
            self.assertEqual(len(shown), b - a)
            self.assertEqual(tree.root_of_range(case["rows"], a, leaves, left, right), data(case["root"]))
            self.assertTrue(all(leaf["session_key"] == case["session_key"] for leaf in case["leaves"]))
            self.assertTrue(case["before"]["session_key"] < case["session_key"] if case["before"] else a == 0)
            self.assertTrue(case["after"]["session_key"] > case["session_key"] if case["after"] else b == case["rows"])
            self.assertEqual(bool(case["leaves"]), case["claim"] == "completeness")


def row_of(case):
    want = case["expected"]
    event = want["kind"] == "event"
    bodies = [{name: data(body[name]) for name in ("digest", "salt", "data", "enc")} for body in want.get("bodies", ())]
    for body, told in zip(bodies, want.get("bodies", ())):
        body["digest"] = None if told["inline_clear"] else body["digest"]
    headers = [(header["key"], data(header["value"])) for header in case["headers"]]
    return segment.Row(
        session_key=data(want["session_key"]), offset=case["offset"], timestamp=case["timestamp"],
        timestamp_type=case["timestamp_type"], key=data(case["key"]), headers=spec.headers_bytes(headers) if headers else None,
        headers_salt=data(want["headers_salt"]), schema=spec.SCHEMA_DIGEST if event else None, frame=data(want.get("frame")),
        envelope=data(want.get("envelope")), signature=data(want.get("signature")), admission=data(want.get("admission")),
        bodies=bodies, raw_reason=want.get("reason"), raw_salt=data(want.get("raw_salt")),
        raw=None if event else data(case["value"]))


class Tampered(unittest.TestCase):
    """Copies of the golden stores, for tests to do their worst to."""

    names = ("store", "store-epochs")

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        patched = mock.patch.object(chain, "isolated", remembered)
        patched.start()
        self.addCleanup(patched.stop)
        for name in self.names:
            shutil.copytree(V1 / name, self.root / name)
        self.store = self.root / "store"

    def objects(self, prefix):
        return sorted(path for store in self.root.iterdir() for path in (store / prefix).rglob("*") if path.is_file())

    def kinds(self, path=None):
        return {finding["kind"] for finding in findings(path or self.store)}

    def replace(self, path, data, text=None):
        """Puts other bytes under a segment's key, with a record that fits them."""
        record = self.store / "records" / path.relative_to(self.store / "segments").with_suffix(".record")
        text = text or record.read_text().partition("\nkey ")[0] + "\n"
        record.write_text(spec.enrolled_record(text, path.relative_to(self.store).as_posix(), data))
        path.write_bytes(data)


class Objects(Tampered):
    def test_the_golden_stores_are_sound(self):
        for name in ("store", "store-epochs"):
            self.assertEqual(findings(self.root / name), [])

    def flip(self, path, places):
        held, store = path.read_bytes(), self.root / path.relative_to(self.root).parts[0]
        for place in places:
            path.write_bytes(held[:place] + bytes([held[place] ^ 1 << place % 8]) + held[place + 1:])
            self.assertTrue(findings(store), f"{path.name} at byte {place}")
        path.write_bytes(held)

    def test_a_flipped_bit_of_a_segment_is_found(self):
        for path in self.objects("segments"):
            size = path.stat().st_size
            self.flip(path, sorted({*range(0, size, max(1, size // PLACES)), *range(max(0, size - 16), size)}))

    def test_a_flipped_bit_of_a_record_is_found(self):
        for path in self.objects("records"):
            self.flip(path, range(path.stat().st_size))

    def test_a_flipped_bit_of_an_opening_is_found(self):
        for path in self.objects("epochs"):
            self.flip(path, range(path.stat().st_size))

    def test_an_appended_byte_is_found(self):
        for prefix in ("segments", "records", "epochs"):
            for path in self.objects(prefix):
                with self.subTest(path.name):
                    held = path.read_bytes()
                    path.write_bytes(held + b"\n")
                    self.assertTrue(findings(self.root / path.relative_to(self.root).parts[0]))
                    path.write_bytes(held)

    def test_a_flipped_bit_of_a_claim_checked_body_is_found(self):
        with mock.patch.object(chain, "isolated", segment.examine):
            for path in self.objects("bodies"):
                self.flip(path, [0, path.stat().st_size - 1])

    def test_a_removed_object_is_found(self):
        for prefix in ("segments", "records", "epochs"):
            for path in self.objects(prefix):
                if path.read_bytes().startswith(b"PAR1 this is nobody's"):
                    continue  # an abandoned object may be gone
                with self.subTest(path.name):
                    held = path.read_bytes()
                    path.unlink()
                    self.assertTrue(findings(self.root / path.relative_to(self.root).parts[0]))
                    path.write_bytes(held)

    def test_a_middle_segment_removed_with_its_record_is_found(self):
        for prefix in ("segments", "records"):
            next((self.store / prefix).rglob("*18.*")).unlink()
        self.assertIn("chain", self.kinds())

    def test_two_swapped_segments_are_found(self):
        first, _, last = self.objects("segments")[:3]
        held = first.read_bytes()
        first.write_bytes(last.read_bytes())
        last.write_bytes(held)
        self.assertEqual({"misplaced"}, self.kinds())
        one, _, other = self.objects("records")[:3]
        held = one.read_bytes()
        one.write_bytes(other.read_bytes())
        other.write_bytes(held)
        self.assertIn("misplaced", self.kinds())

    def test_a_replaced_record_is_found(self):
        one, other = self.objects("records")[:2]
        one.write_bytes(other.read_bytes())
        self.assertIn("digest", self.kinds())

    def test_an_expired_segment_is_no_finding(self):
        path = self.objects("segments")[0]
        path.unlink()
        self.assertEqual({"missing_segment"}, self.kinds())
        with mock.patch.object(chain, "NOW", "2034-01-01T00:00:00Z"):
            self.assertEqual([], findings(self.store))

    def test_lost_history_and_abandoned_objects_are_told_and_no_findings(self):
        status, printed = run(self.root / "store-epochs")
        self.assertEqual(status, 0)
        self.assertIn("events/00001: LOST: offsets 3 to 6 before they could be sealed, says epoch 1 (truncated", printed)
        self.assertIn("abandoned segments/events/00001/0000000001/00000000000000000010.parquet - ", printed)

    def test_a_segment_after_the_end_of_its_epoch_is_found(self):
        held = self.root / "store-epochs" / "segments/events/00001/0000000000"
        shutil.copy(held / f"{0:020}.parquet", held / f"{4:020}.parquet")
        self.assertIn("chain", self.kinds(self.root / "store-epochs"))

    def test_junk_under_the_next_key_is_found(self):
        self.objects("segments")[0].with_name(f"{27:020}.parquet").write_bytes(b"PAR1 junk PAR1")
        self.assertEqual({"junk"}, self.kinds())

    def test_unknown_objects_are_found(self):
        (self.store / "segments" / "notes.txt").write_text("no")
        (self.store / "segments/events/00000/0000000000/1.parquet").write_text("no")
        self.assertEqual([finding["kind"] for finding in findings(self.store)], ["junk"] * 2)

    def test_what_cannot_be_read_is_no_finding(self):
        self.assertEqual(run(self.root / "nowhere")[0], 4)
        with self.assertRaises(SystemExit) as usage, contextlib.redirect_stderr(io.StringIO()):
            verify.main([])
        self.assertEqual(usage.exception.code, 2)

    def test_bytes_no_parser_likes_are_findings(self):
        """Flipped bits under a record that fits them: pyarrow may not notice, or abort, but there is no traceback."""
        path = self.objects("segments")[2]
        held = path.read_bytes()
        for place in range(4, len(held), 97):
            flipped = held[:place] + bytes([held[place] ^ 0x10]) + held[place + 1:]
            self.replace(path, flipped)
            findings(self.store)
        for junk in (b"", b"PAR1", b"PAR1PAR1", held[:-1], bytes(100)):
            self.replace(path, junk)
            self.assertTrue(findings(self.store))

    def test_hostile_text_is_printed_escaped(self):
        (self.store / "segments" / "a\x1b[2Jb\nok  c").write_text("")
        self.assertIn("a\\x1b[2Jb\\nok  c", run(self.store)[1])


class Content(Tampered):
    """The last segment encoded anew."""

    def reseal(self, change=lambda rows: None, footer=None, record=None, patch=lambda data: data, columns=None):
        path = self.objects("segments")[2]
        file = pq.ParquetFile(V1 / path.relative_to(self.root))
        held = {name.decode(): text.decode() for name, text in file.metadata.metadata.items()}
        rows = file.read().to_pylist()
        change(rows)
        for old, new in (record or {}).items():
            self.assertIn(old, held["chancery.record"])
            held["chancery.record"] = held["chancery.record"].replace(old, new)
        held |= footer or {}
        with contextlib.ExitStack() as patched:
            for name, value in (columns or {}).items():
                patched.enter_context(mock.patch.object(spec, name, value))
            data = patch(spec.segment_object(rows, held, "none"))
        self.replace(path, data, held["chancery.record"])
        return findings(self.store)

    def assertFound(self, kind, reason, found):
        self.assertTrue([f for f in found if f["kind"] == kind and reason in f["reason"]], found)

    def test_encoded_anew_and_unchanged_it_is_sound(self):
        self.assertEqual(self.reseal(), [])

    def test_a_false_view_is_found(self):
        for name, value in (("agent_name", "planner-9"), ("session_id", None), ("occurred_at", 1), ("cost_nanos", 7)):
            found = self.reseal(lambda rows: rows[0].update({name: value}))
            self.assertEqual([(f["kind"], f["reason"].split()[0]) for f in found], [("view", name)])

    def test_a_false_statistic_is_found(self):
        def patch(data):
            footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
            self.assertIn(b"planner-8", data[footer:])
            return data[:footer] + data[footer:].replace(b"planner-8", b"planner-9")
        self.assertEqual([f["kind"] for f in self.reseal(patch=patch)], ["statistics"])

    def test_absent_or_surplus_statistics_are_found(self):
        self.assertFound("statistics", "kind", self.reseal(columns={"STAT": [s for s in spec.STAT if s != "kind"]}))
        self.assertFound("statistics", "envelope", self.reseal(columns={"STAT": [*spec.STAT, "envelope"]}))

    def test_a_dropped_row_is_found(self):
        self.assertFound("segment", "root", self.reseal(lambda rows: rows.pop(1)))
        self.assertFound("segment", "gaps", self.reseal(lambda rows: rows.pop()))

    def test_swapped_rows_are_found(self):
        self.assertFound("segment", "order", self.reseal(lambda rows: rows.reverse()))

    def test_a_changed_offset_is_found(self):
        def collide(rows):
            rows[0]["offset"] = rows[-1]["offset"]
        self.assertFound("segment", "same offset", self.reseal(collide))
        self.assertFound("row", "range", self.reseal(lambda rows: rows[0].update(offset=99)))

    def test_a_changed_row_is_found(self):
        def event(rows):
            return next(row for row in rows if row["bodies"] and row["bodies"][0]["digest"] is None)

        def raw(rows):
            return next(row for row in rows if row["raw_reason"])

        def shift(rows):
            """The same message, its bytes put one column further: what is one body's item looks like an admission."""
            row = event(rows)
            item = message.item_of(row["bodies"][0])[1]
            row.update(envelope=row["envelope"] + b"\0", signature=row["admission"], admission=item, bodies=[])

        changes = [
            ("root", lambda rows: event(rows)["bodies"][0].update(data=b"other")),
            ("root", lambda rows: event(rows).update(timestamp=None, timestamp_type=0)),
            ("root", lambda rows: event(rows).update(envelope=event(rows)["envelope"][:-1] + b"\1")),
            ("root", lambda rows: raw(rows).update(raw=b"other")),
            ("claims", lambda rows: [row.update(bodies=[]) for row in rows]),
        ]
        for reason, change in changes:
            self.assertFound("segment", reason, self.reseal(change))
        rows = [
            ("session key", lambda rows: rows[0].update(session_key=bytes(32))),
            ("raw for", lambda rows: raw(rows).update(raw_reason="partition")),
            ("timestamp", lambda rows: rows[0].update(timestamp_type=0)),
            ("headers", lambda rows: rows[0].update(headers=b"\0\0\0\0", headers_salt=bytes(16))),
            ("mixed", lambda rows: rows[0].update(raw=b"")),
            ("stored", lambda rows: event(rows)["bodies"][0].update(
                digest=spec.body_digest(event(rows)["bodies"][0]["salt"], event(rows)["bodies"][0]["data"]))),
            ("no event", lambda rows: rows[0].update(signature=b"\0")),
            ("divide", shift),
        ]
        for reason, change in rows:
            with self.subTest(reason):
                found = self.reseal(change)
                self.assertTrue(any(reason in f["reason"] for f in found), found)

    def test_a_false_footer_is_found(self):
        self.assertFound("segment", "metadata key", self.reseal(footer={"pandas": "{}"}))
        self.assertFound("segment", "metadata key", self.reseal(footer={"chancery.schema." + "0" * 64: "{}"}))
        self.assertFound("segment", "gaps", self.reseal(footer={"chancery.gaps": "25 26\n"}))
        self.assertFound("segment", "claims", self.reseal(footer={"chancery.claims": ""}))
        self.assertFound("segment", "no segment record", self.reseal(record={"partition 0": "partition 00"}))

    def test_a_false_record_is_found(self):
        for old, new, kind in (("rows 6", "rows 5", "segment"), ("start 21", "start 20", "chain"),
                               ("\ntotal 18", "\ntotal 19", "chain"), ("topic events", "topic other", "misplaced"),
                               ("epoch 0", "epoch 1", "misplaced"), ("\nprev ", "\nprev " + "0" * 64 + "\n#", "segment"),
                               ("partitions 3", "partitions 4", "chain"), ("time_min 17", "time_min 18", "segment"),
                               ("lock compliance", "lock -", "segment"), ("leader_epochs 21:5", "leader_epochs 27:5", "segment")):
            with self.subTest(new):
                self.assertIn(kind, {f["kind"] for f in self.reseal(record={old: new})})

    def test_another_column_order_type_or_id_is_found(self):
        fields = list(spec.TABLE)
        index = spec.TABLE.get_field_index("agent_name")
        for changed in (
            [*fields[:index], spec.column(99, "agent_name", spec.TEXT), *fields[index + 1:]],
            [*fields[:index], spec.column(45, "agent_name", spec.pa.binary()), *fields[index + 1:]],
            [*fields[:index], spec.column(45, "agent_name", spec.TEXT, False), *fields[index + 1:]],
            [*fields, spec.column(63, "more", spec.TEXT)], fields[:-1], [*fields[:-2], fields[-1], fields[-2]],
        ):
            nullable = changed[index].nullable
            fill = (lambda rows: None) if nullable else (lambda rows: [row.update(agent_name="x") for row in rows])
            stat = [name for name in [*spec.STAT, "more"] if name in {field.name for field in changed}]
            found = self.reseal(fill, columns={"TABLE": spec.pa.schema(changed), "STAT": stat})
            self.assertIn("segment", {f["kind"] for f in found})


if __name__ == "__main__":
    unittest.main()
