"""Tests of the verifier's side of the log: it agrees with the vectors, and finds whatever is done to the golden one."""

import shutil
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from test_verify import V1, Tampered, data, findings, run, vectors

import chancery_spec as spec
import strict_ed25519
import entry
import logs
import note
import pyarrow.parquet as pq
import tlog
import tree

MADE = logs.make()
TRUST = {name: V1 / f"store-log.{name}" for name in ("vkey", "first.vkey", "policy")}


def accepted(read):
    try:
        read()
    except (note.BadNote, tree.BadProof, entry.BadEntry):
        return False
    return True


class LogVectors(unittest.TestCase):
    def each(self, name, read):
        cases = vectors("log")[name]
        for case in cases:
            with self.subTest(case["name"]):
                self.assertEqual(accepted(lambda: read(case)), case["good"])
        self.assertGreater(len(cases), 2)

    def test_signatures_are_good_where_the_vectors_say_so(self):
        for case in vectors("signatures"):
            message = b"chancery.signature.v1\0" + data(case["event_digest"])
            good = case["alg"] == "ed25519" and strict_ed25519.verifies(data(case["key"]), message, data(case["value"]))
            self.assertEqual(good, case["good"], case["name"])

    def test_verifier_keys(self):
        self.each("keys", lambda case: note.parse_key(case["text"]))

    def test_notes(self):
        self.each("notes", lambda case: note.signed_by(note.parse_key(case["vkey"]), *note.parse_note(case["text"].encode())))

    def test_checkpoints(self):
        self.each("checkpoints", lambda case: note.parse_checkpoint(case["text"]))

    def test_cosignatures(self):
        def read(case):
            if not case["text"].endswith("\n"):
                raise note.BadNote("no line")
            time = note.time_of(note.parse_key(case["vkey"]), case["note_text"], note.parse_line(case["text"][:-1]))
            self.assertEqual(time, case["time"])
        self.each("cosignatures", read)

    def test_entries_and_commits(self):
        self.each("entries", lambda case: entry.parse(case["text"]))
        self.each("commits", lambda case: entry.parse_commit(data(case["data"])))

    def test_names_of_tiles(self):
        for case in vectors("log")["tile_names"]:
            named = case["level"], case["index"], case["width"]
            self.assertEqual((tree.tile_name(*named), tree.parse_tile_name(case["path"])), (case["path"], named))
        for path in ("tile/0/0", "tile/0/000.p/256", "tile/0/000.p/0", "tile/00/000", "tile/64/000", "tile/0/x000/000",
                     "tile/0/1000"):
            self.assertIsNone(tree.parse_tile_name(path), path)

    def test_consistency_proofs_prove_and_nothing_else_does(self):
        for case in vectors("log")["consistency"]:
            sizes, roots = (case["old"], case["new"]), (data(case["old_root"]), data(case["new_root"]))
            proof = list(map(data, case["proof"]))
            tree.consistent(*sizes, *roots, proof)
            for bad in (proof[:-1], [*proof, bytes(32)], [bytes(32), *proof[1:]]):
                if bad != proof:
                    self.assertFalse(accepted(lambda: tree.consistent(*sizes, *roots, bad)), case)

    def test_policies(self):
        one, two = (witness.vkey for witness in MADE.witnesses)
        log = f"log {MADE.old.vkey}\n"
        trusted = note.Trust(f"{log}\twitness a {one} https://a\nwitness b {two}\n# c\n\ngroup g any a b\nquorum g\n".encode())
        self.assertEqual([trusted.is_met(names) for names in ((), ("a",), ("b",), ("a", "b"))], [False, True, True, True])
        nested = note.Trust(f"{log}witness a {one}\nwitness b {two}\ngroup g all a\ngroup h 2 g b\nquorum h\n".encode())
        self.assertEqual([nested.is_met(names) for names in (("a",), ("b",), ("a", "b"))], [False, False, True])
        for bad in (log, f"{log}quorum a\n", f"{log}{log}quorum none\n", f"{log}quorum none\nquorum none\n", f"witness a {one}\n"
                    f"witness a {two}\nquorum a\n", f"witness a {one}\nwitness b {one}\nquorum a\n", f"log {one}\nquorum none\n",
                    f"witness none {one}\nquorum none\n", f"witness a {one}\ngroup g 2 a\nquorum g\n", f"witness a {one}\n"
                    "group g any a a\nquorum g\n", f"witness a {one}\ngroup g any a\ngroup h any a\nquorum h\n",
                    f"group g any a\nwitness a {one}\nquorum g\n", "more\nquorum none\n", f"{MADE.old.vkey}\nhello\n"):
            self.assertFalse(accepted(lambda: note.Trust(bad.encode())), bad)


class Logs(Tampered):
    """Copies of the golden store with a log."""

    names = ("store-log",)

    def setUp(self):
        super().setUp()
        self.store = self.root / "store-log"
        self.log = self.store / "log"

    def found(self, trust="policy"):
        return [(f["kind"], f["object"], f["reason"]) for f in findings(self.store, "--trust", TRUST[trust])]

    def assertFound(self, kind, path, reason):
        found = self.found()
        key = path.relative_to(self.store).as_posix() if isinstance(path, Path) else path
        self.assertTrue(any(f[0] == kind and f[1] == key and reason in f[2] for f in found), found)

    def test_the_golden_log_is_sound_whichever_of_its_keys_is_given(self):
        for trust in TRUST:
            self.assertEqual(self.found(trust), [])
        self.assertIn("nobody outside vouches", run(self.store)[1])

    def test_another_key_or_no_log_at_all_is_found(self):
        other = self.root / "other.vkey"
        other.write_text(tlog.Key(logs.ORIGIN, bytes(32)).vkey + "\n")
        self.assertIn("key", {finding["kind"] for finding in findings(self.store, "--trust", other)})
        shutil.rmtree(self.log)
        self.assertIn(("log", "log/checkpoint", "there is no log that the key could have signed"), self.found())

    def test_a_flipped_bit_of_any_object_of_the_log_is_found_there(self):
        kinds = {"commits": "commit", "tile": "tile", "checkpoints": "checkpoint", "checkpoint": "checkpoint",
                 "cosignatures": "cosignature"}
        with mock.patch("chain.Chain.check"):
            for path in sorted(path for path in self.log.rglob("*") if path.is_file()):
                held, kind = path.read_bytes(), kinds[path.relative_to(self.log).parts[0]]
                for place in sorted({*range(0, len(held), max(1, len(held) // 12)), len(held) - 1}):
                    path.write_bytes(held[:place] + bytes([held[place] ^ 1 << place % 8]) + held[place + 1:])
                    found = self.found()
                    key = path.relative_to(self.store).as_posix()
                    there = {f[0] for f in found if f[1] == key}
                    self.assertTrue(there & {kind, "entry"}, (key, place, found))
                path.write_bytes(held)

    def test_a_removed_object_of_the_log_is_found(self):
        for path, kind in ((f"commits/{256:020}", "commit"), ("tile/0/000", "tile"), ("tile/entries/001.p/8", "tile"),
                           ("tile/1/000.p/1", "tile"), (f"checkpoints/{6:020}", "checkpoint"), ("checkpoint", "checkpoint")):
            with self.subTest(path):
                held = (self.log / path).read_bytes()
                (self.log / path).unlink()
                self.assertIn(kind, {f[0] for f in self.found()})
                (self.log / path).write_bytes(held)
        for path in ("tile/0/000.p/2", "tile/entries/000.p/6"):  # given way to the full one
            (self.log / path).unlink()
        self.assertEqual(self.found(), [])

    def test_an_unknown_object_is_found(self):
        (self.log / "notes").write_text("no")
        (self.log / "tile/0/001.p/9").write_bytes(bytes(9 * 32))
        self.assertFound("junk", self.log / "notes", "no object has such a name")
        self.assertFound("tile", self.log / "tile/0/001.p/9", "no commit makes")

    def test_a_size_rolled_back_is_found(self):
        (self.log / "checkpoint").write_bytes((self.log / f"checkpoints/{259:020}").read_bytes())
        self.assertEqual(self.found(), [])  # old, and not wrong
        self.assertIn("log/checkpoint is that of size 259", run("--trust", TRUST["policy"], self.store)[1])
        for path in (f"commits/{259:020}", f"checkpoints/{264:020}"):
            (self.log / path).unlink()
        shutil.rmtree(self.log / f"cosignatures/{264:020}")
        found = {f[0] for f in self.found()}
        self.assertIn("tile", found)

    def test_a_commit_without_its_checkpoint_is_on_its_way(self):
        for path in (self.log / f"checkpoints/{264:020}", self.log / "checkpoint"):
            path.unlink()
        (self.log / "checkpoint").write_bytes((self.log / f"checkpoints/{259:020}").read_bytes())
        shutil.rmtree(self.log / f"cosignatures/{264:020}")
        status, printed = run("--trust", TRUST["vkey"], self.store)
        self.assertEqual((status, "1 commits after size 259 have no checkpoint yet" in printed), (0, True), printed)

    def test_a_dropped_last_segment_is_found_by_the_log_alone(self):
        path = next((self.store / "segments/events/00001").rglob(f"{2:020}.parquet"))
        for name in (path, self.store / "records" / path.relative_to(self.store / "segments").with_suffix(".record")):
            name.unlink()
        self.assertFound("missing_segment", path, "the log has enrolled it, and it is gone")

    def test_a_dropped_partition_or_epoch_is_found(self):
        shutil.rmtree(self.store / "epochs/events/00001")
        self.assertFound("log", f"epochs/events/00001/{0:010}", "the log has enrolled it, and it is gone")
        for prefix in ("epochs", "segments", "records"):
            shutil.rmtree(self.store / prefix / "events/00001", ignore_errors=True)
        self.assertFound("missing_segment", f"segments/events/00001/{0:010}/{0:020}.parquet", "enrolled")

    def test_a_rewritten_last_segment_with_its_record_is_found(self):
        path = next((self.store / "segments/events/00001").rglob(f"{2:020}.parquet"))
        record = self.store / "records" / path.relative_to(self.store / "segments").with_suffix(".record")
        held = pq.ParquetFile(path)
        footer = {name.decode(): text.decode() for name, text in held.metadata.metadata.items()}
        changed = spec.segment_object(held.read().to_pylist(), footer, "none")
        path.write_bytes(changed)
        record.write_text(spec.enrolled_record(footer["chancery.record"], path.relative_to(self.store).as_posix(), changed))
        self.assertFound("log", path, "not the segment that the log has enrolled")

    def test_segments_after_the_log_are_told_and_no_findings(self):
        for path in (f"commits/{256:020}", f"commits/{259:020}", f"checkpoints/{259:020}", f"checkpoints/{264:020}"):
            (self.log / path).unlink()
        (self.log / "checkpoint").write_bytes((self.log / f"checkpoints/{256:020}").read_bytes())
        shutil.rmtree(self.log / "cosignatures")
        for path in list(self.log.rglob("001.p")):
            shutil.rmtree(path)
        status, printed = run("--trust", TRUST["first.vkey"], self.store)
        self.assertEqual((status, "not enrolled in the log yet: 3 segments" in printed), (0, True), printed)


class Rewritten(unittest.TestCase):
    """Logs that are signed with the right keys, and say what they may not."""

    def found(self, change):
        made = logs.Made()
        change(made)
        with tempfile.TemporaryDirectory() as folder:
            for key, held in made.files.items():
                path = Path(folder, key)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(held)
            trust = Path(folder, "trust")
            trust.write_text(made.old.vkey + "\n")
            return [finding["reason"] for finding in findings(Path(folder), "--trust", trust)]

    def opened(self, made):
        made.zero.open_epoch(0, "genesis", logs.time_text(logs.FIRST))
        made.zero.seal([], 5)
        return made.zero.links

    def set_aside(self, made):
        """An epoch after the opening of the first one; the record that was enrolled in its place was damaged, and is abandoned."""
        zero = made.zero
        key, record = spec.segment_key("events", 0, 0, 0), spec.record_key("events", 0, 0, 0)
        zero.prev, zero.next, zero.total = spec.record_leaf(zero.links[0]).hex(), 0, 0
        zero.open_epoch(0, "operator", logs.time_text(60 + logs.FIRST), abandoned=[(key, "-", spec.sha256(made.files[key]).hex())])
        del made.files[record]

    def test_entries_out_of_order_twice_or_forked_are_found(self):
        for reason, change in (
            (None, lambda made: made.log.append(*self.opened(made), spec_beat(made))),
            ("comes before the link", lambda made: made.log.append(*reversed(self.opened(made)))),
            ("enrolled twice", lambda made: made.log.append(*self.opened(made), made.zero.links[-1])),
            ("another link with this prev", lambda made: made.log.append(
                *self.opened(made), made.zero.links[-1].replace("rows 0", "rows 1"))),
            (None, lambda made: [made.log.append(*self.opened(made)), self.set_aside(made), made.log.append(
                made.zero.links[-1], spec_beat(made))]),
            ("does not tell", lambda made: made.log.append(*self.opened(made), spec_beat(made).replace(" 5 ", " 6 "))),
            ("does not tell", lambda made: made.log.append(*reversed([*self.opened(made)[:1], spec_beat(made)]))),
            ("not the one in force", lambda made: [self.opened(made), made.log.append(
                tlog.key_change(made.old, made.new, logs.time_text(0 + logs.FIRST)), changed=made.new), made.log.append(
                tlog.key_change(made.old, made.new, logs.time_text(60 + logs.FIRST)), changed=made.new)]),
            ("is not signed by", lambda made: [made.log.append(*self.opened(made)), made.files.update(
                {f"log/checkpoints/{2:020}": tlog.note(made.log.checkpoints[2].partition("\n\n")[0] + "\n",
                                                       made.old.sign(made.log.checkpoints[2].partition("\n\n")[0] + "\n"),
                                                       made.new.sign("x")).encode()})]),
        ):
            with self.subTest(reason):
                found = self.found(change)
                self.assertTrue(any(reason in told for told in found) if reason else found == [], found)


def spec_beat(made):
    return tlog.heartbeat("events", 0, 1, logs.time_text(logs.FIRST), [(0, made.zero.epoch, made.zero.next, made.zero.prev, "-")])


if __name__ == "__main__":
    unittest.main()
