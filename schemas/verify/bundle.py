"""Evidence bundles (section 10 of docs/format.md): what each claims, and every step that shows it or fails to."""

import re
from datetime import datetime
from pathlib import Path

import entry
import note
import tree
from archive import BadArchive, unpack
from message import CONFLUENT, SINGLE, H, key_of, know, sha256
from record import HEX, INSTANT, NUMBER, TOPIC, Links, parse_enrolled, parse_opening, pattern_of, times_exist
from rows import BadRows, Shown
from timestamp import check_timestamp

LINKS_MAX = 10 ** 8
MILLISECONDS = "-|0|-?[1-9][0-9]{0,18}"
CLAIM = pattern_of("bundle", {
    "claim": "event|session|absent", "origin": "[^\n]+", "size": NUMBER, "topic": TOPIC, "partition": NUMBER,
    "key": "[A-Za-z0-9+/]+={0,2}", "event": f"{HEX}|-", "from": MILLISECONDS, "to": MILLISECONDS, "links": NUMBER,
    "disclosed": NUMBER, "withheld": NUMBER, "monitor": f"{NUMBER} {INSTANT}|-", "made_at": INSTANT, "writer": "[!-~]{1,100}"})
NAMES = re.compile(f"bundle|checkpoint|cosignatures|timestamps/[a-z0-9-]{{1,64}}[.]tsr|links/[0-9]{{8}}/(?:entry|proof|rows)"
                   f"|heartbeat/(?:entry|proof)|bodies/{HEX}|schemas/{HEX}[.]avsc|VERIFY[.]md|bundle[.]html")
PROOF = re.compile(f"c2sp[.]org/tlog-proof@v1\nindex ({NUMBER})\n((?:[A-Za-z0-9+/]{{43}}=\n)*)\n")


class BadBundle(ValueError):
    """(the file of the bundle that is at fault, why)"""


def check(path, report, trust, tsa):
    report.bundles += 1
    try:
        checked = Bundle(Path(path).read_bytes(), trust, tsa, report)
        checked.check()
    except OSError as error:
        report.unread.append(f"{path}: {error}")
    except BadBundle as error:
        report.add("bundle", *error.args)
        report.settle()
    else:
        report.say(f"ok  {path}  {checked.claim['claim']}, {len(checked.links)} links, {len(checked.rows)} rows")
        report.tell(checked.words())


def need(good, name, reason):
    if not good:
        raise BadBundle(name, reason)


class Bundle:
    def __init__(self, data, trust, tsa, report):
        self.trust, self.tsa, self.report = trust, tsa, report
        try:
            self.files = unpack(data, NAMES)
        except BadArchive as error:
            raise BadBundle(*error.args) from None
        self.claim, self.links, self.rows, self.witnesses, self.beat = None, [], [], {}, None

    def check(self):
        self.read_claim()
        self.check_checkpoint()
        for name, data in self.files.items():
            if name.startswith("schemas/"):
                need(sha256(data).hex() == name[8:72], name, "not the schema of this digest")
                know(data)
        self.check_links()
        self.check_claim()
        self.check_bodies()

    def file(self, name):
        need(name in self.files, name, "it is not there")
        return self.files[name]

    def text(self, name):
        try:
            return self.file(name).decode()
        except UnicodeDecodeError:
            raise BadBundle(name, "not UTF-8") from None

    def read_claim(self):
        match = CLAIM.fullmatch(self.text("bundle"))
        need(match and times_exist(match[0]), "bundle", "not a claim as it would be printed")
        self.claim = claim = match.groupdict()
        kind, self.kind = claim["claim"], claim["claim"]
        given = {name for name in ("event", "from", "to") if claim[name] != "-"}
        need(given == {"event": {"event"}, "session": set(), "absent": {"from", "to"}}[kind], "bundle",
             "event, from and to are not those of the kind of claim")
        try:
            self.key = note.unbase64(claim["key"])
        except note.BadNote as error:
            raise BadBundle("bundle", f"key: {error}") from None
        self.parsed, self.session, self.murmur = key_of(self.key)
        need(self.parsed, "bundle", "the key names no session")
        if kind == "absent":
            self.first, self.after = int(claim["from"]), int(claim["to"])
            need(self.first < self.after, "bundle", "from is not before to")

    # 10.3, step 2.

    def check_checkpoint(self):
        checkpoint, lines = self.file("checkpoint"), self.files.get("cosignatures", b"")
        need("cosignatures" not in self.files or lines, "cosignatures", "it is there, and has none")
        try:
            text, signed = note.parse_note(checkpoint)
            self.checkpoint = note.parse_checkpoint(text)
        except note.BadNote as error:
            raise BadBundle("checkpoint", str(error)) from None
        need((self.checkpoint.origin, str(self.checkpoint.size)) == (self.claim["origin"], self.claim["size"]), "checkpoint",
             "not that of the claim's origin and size")
        keys = [key for key in self.trust.logs if key.name == self.checkpoint.origin]
        need(keys, "checkpoint", "no key of this log was given")
        need(all(line.name == self.checkpoint.origin for line in signed), "checkpoint", "a signature that is not the log's")
        known = [key for key in keys if any((line.name, line.id) == (key.name, key.id) for line in signed)]
        need(known, "checkpoint", "it is signed with no key that was given")
        try:
            for key in known:
                note.signed_by(key, text, signed)
        except note.BadNote as error:
            raise BadBundle("checkpoint", str(error)) from None
        self.signers = known
        try:
            _, both = note.parse_note(checkpoint + lines)
            self.witnesses = self.trust.cosigned(text, both[len(signed):])
        except note.BadNote as error:
            raise BadBundle("cosignatures", str(error)) from None
        need(self.trust.is_met(self.witnesses), "cosignatures", "fewer witnesses than the policy wants")
        self.cosigned, self.unknown = checkpoint + lines, len(both) - len(signed) - len(self.witnesses)
        for name in sorted(self.files):
            if name.startswith("timestamps/"):
                for problem in check_timestamp(self.files[name], checkpoint, self.tsa, self.report, name):
                    raise BadBundle(name, problem)

    # Steps 3, 4 and 5.

    def check_links(self):
        count, chain, last = int(self.claim["links"]), Links(anywhere=True), -1
        need(0 < count < LINKS_MAX, "bundle", "no links")
        held = {name[:14] for name in self.files if name.startswith("links/")}
        need(held == {f"links/{n:08}" for n in range(count)}, "bundle", "the links are not those that it counts")
        for n in range(count):
            name = f"links/{n:08}/entry"
            text = self.text(name)
            link = (parse_opening if text.startswith("chancery/epoch@v1\n") else parse_enrolled)(text)
            need(link, name, "neither a record nor an opening")
            last = self.check_proof(f"links/{n:08}/proof", text, last)
            for reason in chain.faults(link):
                raise BadBundle(name, reason)
            need((link["topic"], link["partition"]) == (self.claim["topic"], self.claim["partition"]), name, "of another partition")
            theirs = self.murmur % int(link["partitions"]) == int(link["partition"])
            need(theirs, name, "the session's key is not of this partition")
            self.links.append((link, self.check_rows(n, link)))
        if self.files.keys() & {"heartbeat/entry", "heartbeat/proof"}:
            self.check_heartbeat(chain.head.leaf, last)

    def check_heartbeat(self, leaf, last):
        """A heartbeat by which the last link was still the newest one."""
        text = self.text("heartbeat/entry")
        self.check_proof("heartbeat/proof", text, last)
        try:
            beat = entry.parse_heartbeat(text)
            at = datetime.strptime(beat.at, "%Y-%m-%dT%H:%M:%S%z")
        except ValueError as error:
            raise BadBundle("heartbeat/entry", str(error)) from None
        lines = [line for line in beat.beats if (beat.topic, line["partition"]) == (self.claim["topic"], self.claim["partition"])]
        need([line["leaf"] for line in lines] == [leaf], "heartbeat/entry", "it does not name the last link")
        if lines[0]["end"] != "-" and int(lines[0]["end"]) <= int(lines[0]["next"]):
            self.beat = at  # and nothing waited to be sealed then

    def check_proof(self, name, text, last):
        """The index of the entry, which is after the one before."""
        proof = self.file(name)
        match = PROOF.match(proof.decode("utf-8", "replace"))
        need(match, name, "not a proof, without extra data")
        need(proof == match[0].encode() + self.cosigned, name, "its checkpoint is not that of the bundle with its cosignatures")
        index = int(match[1])
        try:
            hashes = list(map(note.unbase64, match[2].split()))
            root = tree.included(index, self.checkpoint.size, tree.leaf(text.encode()), hashes)
        except (note.BadNote, tree.BadProof) as error:
            raise BadBundle(name, str(error)) from None
        need(root == self.checkpoint.root, name, "it does not lead to the checkpoint's root")
        need(index > last, name, "the indices do not ascend")
        return index

    def check_rows(self, n, link):
        """What is shown of a record; None of an opening."""
        name = f"links/{n:08}/rows"
        if "reason" in link:
            need(name not in self.files, name, "an opening has no rows")
            return None
        try:
            shown = Shown(self.file(name), self.session, self.key)
            shown.check(link, self.session, self.kind)
        except (BadRows, note.BadNote) as error:
            raise BadBundle(name, str(error)) from None
        for row in shown.rows:
            if row.fields:
                need((row.fields["tenant"], row.fields["session_id"]) == self.parsed, name, "an event of another session")
                first, size = CONFLUENT if link["framing"] == "confluent" else SINGLE
                need(row.frame.startswith(first) and len(row.frame) == size, name, "a frame that is not the topic's")
        self.rows += shown.rows
        return shown

    # The claim itself, 10.1.

    def before(self, link):
        return link["time_max"] != "-" and int(link["time_max"]) < self.first

    def behind(self, link):
        return link["time_min"] != "-" and int(link["time_min"]) >= self.after

    def check_claim(self):
        if self.kind == "event":
            need(len(self.links) == 1 and "reason" not in self.links[0][0], "bundle", "an event is of one record")
            row = self.rows[0]
            need(row.fields and row.event.hex() == self.claim["event"], "links/00000000/rows", "it is another event, or none")
            return
        need(any("reason" not in link for link, _ in self.links), "bundle", "no record is shown")
        if self.kind == "session":
            need(self.rows, "bundle", "no row of the session is shown")
            return
        for n, (link, shown) in enumerate(self.links):
            inside = [row for row in shown.rows if row.time is None or self.first <= row.time < self.after] if shown else []
            need(not inside, f"links/{n:08}/rows", "it shows a row of the session in that time, or of no time")
        first = self.links[0][0]
        need(first["epoch"] == "0" if "reason" in first else self.before(first), "links/00000000/entry",
             "links before it may hold messages of that time")

    def reach(self):
        """Up to when an absence is proven; the rest is the maker's word."""
        records = [link for link, _ in self.links if "reason" not in link]
        if self.behind(records[-1]) or self.beat and self.beat.timestamp() * 1000 >= self.after:
            return self.after
        return max((int(record["time_max"]) + 1 for record in records if record["time_max"] != "-"), default=self.first)

    # Step 6.

    def check_bodies(self):
        named = {}
        for row in self.rows:
            for content in row.fields["contents"] if row.fields else ():
                named.setdefault(content["digest"], set()).add(content["size"])
        bodies = {name: data for name, data in self.files.items() if name.startswith("bodies/")}
        for name, data in bodies.items():
            digest = bytes.fromhex(name[7:])
            need(digest in named, name, "no event that is shown names it")
            need(len(data) >= 16 and H("body", data) == digest, name, "it has not the digest that is named")
            need(named[digest] == {len(data) - 16}, name, "it has not the size that is named")
        counts = len(bodies), len(named) - len(bodies)
        told = int(self.claim["disclosed"]), int(self.claim["withheld"])
        need(counts == told, "bundle", "it counts other bodies as disclosed or withheld")
        schemas = {f"schemas/{row.schema.hex()}.avsc" for row in self.rows if row.schema}
        need(schemas == {name for name in self.files if name.startswith("schemas/")}, "bundle", "schemas are not those of the rows")

    def words(self):
        """What is proven, by whom, since when, and what is not."""
        claim, records = self.claim, [link for link, _ in self.links if "reason" not in link]
        first, last = records[0], records[-1]
        where = f"partition {claim['partition']} of topic {claim['topic']}"
        session = f"session {'/'.join(self.parsed)}"
        span = f"records at offsets {first['start']} to {int(last['next']) - 1} (epoch {first['epoch']} to {last['epoch']})"
        if self.kind == "event":
            yield f"proven: event {claim['event']} of {session} is at offset {self.rows[0].offset} of {where}"
        elif self.kind == "session":
            yield f"proven: these {len(self.rows)} rows are all of {session} in {span} of {where}"
        else:
            reach = max(self.first, min(self.reach(), self.after))
            yield f"proven: {session} has no row from {self.first} to {reach} (ms) in {span} of {where}"
            if reach < self.after:
                yield f"not proven: that it has none from {reach} to {self.after}: that no record came later is the maker's word"
        signers = ", ".join(key.text for key in self.signers)
        yield f"by: {claim['origin']}, checkpoint of size {claim['size']}, signed with {signers}"
        for name, time in sorted(self.witnesses.items()):
            yield f"witness {name} saw it at {time} (Unix time)"
        if not self.witnesses:
            yield "no witness that you trust has seen it: a log that shows others something else is not excluded"
        if self.unknown:
            yield f"{self.unknown} cosignatures of witnesses that are not in what was given: not checked"
        yield f"bodies: {claim['disclosed']} disclosed, {claim['withheld']} withheld"
        yield "not shown by a bundle: that segments were built right and that no record was enrolled twice"
        yield ("of such a look at the whole log, the maker says nothing" if claim["monitor"] == "-" else
               "by the maker's word, the whole log of size {} had no findings at {}".format(*claim["monitor"].split()))
