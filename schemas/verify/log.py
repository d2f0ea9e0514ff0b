"""The log of a store (section 9 of docs/format.md): commits, what is derived from them, and who has signed it.

What it enrols is compared with the chains of the store in chain.py.
"""

import re

import entry
import note
import tree
from timestamp import check_timestamp

SIZE = "([0-9]{20})"
NAMES = {"commit": f"log/commits/{SIZE}", "checkpoint": f"log/checkpoints/{SIZE}", "cosignature":
         f"log/cosignatures/{SIZE}/([0-9a-f]{{8}})", "timestamp": f"log/timestamps/{SIZE}/([a-z0-9-]{{1,64}})[.]tsr"}


class Log:
    def __init__(self, store, report, trust=None, tsa=None):
        self.store, self.report, self.trust, self.tsa = store, report, trust, tsa
        self.order, self.tree, self.leaves, self.entries = entry.Order(), tree.Growing(), [], []
        self.roots = {}  # size of a commit's tree -> its root
        self.broken = False  # whether commits follow that nothing leads to: what is derived from them is then not looked at
        self.held = {name: {} for name in (*NAMES, "tile")}
        self.signed = {}  # size -> (text, lines) of a checkpoint that is right but for its signatures
        self.vouched = False

    @property
    def enrolled(self):
        return self.order.enrolled

    def add(self, kind, key, reason):
        self.report.add(kind, key, reason)

    def check(self):
        for key in sorted(self.store.keys("log")):
            self.list(key)
        self.origin = self.likely_origin()
        self.follow()
        self.check_tiles()
        for size in sorted(self.held["checkpoint"]):
            if not self.unknown(size):
                self.read_checkpoint(size, self.held["checkpoint"][size])
        self.check_complete()
        self.check_newest()
        self.check_signatures()
        self.check_cosignatures()
        for (size, _), key in sorted(self.held["timestamp"].items()):
            self.check_timestamp(size, key)
        self.report.settle()
        self.tell()

    def list(self, key):
        path = key.removeprefix("log/")
        for name, pattern in NAMES.items():
            if match := re.fullmatch(pattern, key):
                place = int(match[1]) if match.lastindex == 1 else (int(match[1]), match[2])
                self.held[name][place] = key
                return
        if named := tree.parse_tile_name(path):
            self.held["tile"][named] = key
        elif path != "checkpoint":
            self.add("junk", key, "no object has such a name")

    # Commits, sections 9.1 and 9.2.

    def follow(self):
        """The commits from 0 on; the first that is none ends what can be told."""
        commits = dict(self.held["commit"])
        while key := commits.pop(self.tree.size, None):
            try:
                commit = entry.parse_commit(self.store.read(key) or b"")
                if commit.start != self.tree.size:
                    raise entry.BadEntry("it does not start where its name says")
            except entry.BadEntry as error:
                self.add("commit", key, str(error))
                self.broken = True
                return
            self.take(key, commit)
        for start, key in commits.items():
            if start < self.tree.size:
                self.add("commit", key, "no commit leads to it")
            else:
                self.broken = True
        if self.broken:
            self.add("commit", f"log/commits/{self.tree.size:020}", "it is gone, and later ones are there")

    def likely_origin(self):
        """What the newest checkpoint says, where that is of a key that was given, or none was."""
        given = {key.name for key in self.trust.logs} if self.trust else set()
        try:
            origin = note.parse_checkpoint(note.parse_note(self.store.read("log/checkpoint") or b"")[0]).origin
        except note.BadNote:
            origin = None
        return min(given) if given and origin not in given else origin

    def unknown(self, size):
        """Whether there would be a tree of this size if the commits could be followed."""
        return self.broken and size > self.tree.size

    def take(self, key, commit):
        self.origin = self.origin or commit.origin
        if commit.origin != self.origin:
            self.add("commit", key, "its origin is not the log's")
        for text, found in commit.entries:
            for reason in self.order.take(self.tree.size, text, found):
                self.add("entry", key, f"entry {self.tree.size}: {reason}")
            if isinstance(found, entry.KeyChange) and found.old.name != self.origin:
                self.add("entry", key, f"entry {self.tree.size}: the keys of another log")
            self.entries.append(text.encode())
            self.leaves.append(tree.leaf(text.encode()))
            self.tree.add(self.leaves[-1])
        self.roots[self.tree.size] = self.tree.root()
        if commit.root != self.tree.root():
            self.add("commit", key, "the root is not that of the entries")

    # Tiles, as C2SP tlog-tiles.

    def check_tiles(self):
        levels = [self.leaves]
        while len(levels[-1]) >= tree.TILE:
            below = levels[-1]
            ends = range(tree.TILE, len(below) + 1, tree.TILE)
            levels.append([tree.root_of(below[end - tree.TILE:end]) for end in ends])
        for (level, index, width), key in self.held["tile"].items():
            at = index * tree.TILE
            if level == "entries":
                due = b"".join(len(held).to_bytes(2, "big") + held for held in self.entries[at:at + width])
                there = len(self.entries[at:at + width])
            else:
                hashes = levels[level][at:at + width] if level < len(levels) else []
                due, there = b"".join(hashes), len(hashes)
            if there < width and not self.broken:
                self.add("tile", key, "it is of a tree that no commit makes")
            elif there < width:
                continue
            elif self.store.read(key) != due:
                self.add("tile", key, "the bytes are not those that follow from the commits")
        sizes = sorted(size for size in self.held["checkpoint"] if size in self.roots)
        self.check_present(sizes)

    def check_present(self, sizes):
        """The tiles of every tree that has a checkpoint; a partial one may have given way to the full one."""
        due = {}
        for size in sizes:
            partial, full = tree.tiles_of(size)
            for level, index, width in partial:
                due[level, index, width] = size
        for level, count in enumerate(tree.tiles_of(sizes[-1])[1] if sizes else ()):
            due |= {(level, index, tree.TILE): sizes[-1] for index in range(count)}
        due |= {("entries", index, width): size for (level, index, width), size in due.items() if level == 0}
        for (level, index, width), size in due.items():
            if not {(level, index, width), (level, index, tree.TILE)} & self.held["tile"].keys():
                self.add("tile", "log/" + tree.tile_name(level, index, width), f"it is gone, and the checkpoint of {size} is there")

    # Checkpoints, section 9.3.

    def read_checkpoint(self, size, key):
        if size not in self.roots:
            self.add("checkpoint", key, "no commit ends at this size")
            return
        try:
            text, lines = note.parse_note(self.store.read(key) or b"")
            if note.parse_checkpoint(text) != (self.origin, size, self.roots[size]):
                raise note.BadNote("origin, size or root are not those of the commits")
        except note.BadNote as error:
            self.add("checkpoint", key, str(error))
            return
        self.signed[size] = text, lines

    def check_complete(self):
        """A checkpoint of every commit, but for the last ones: they may be on their way."""
        newest = max(self.held["checkpoint"], default=0)
        for size in self.roots:
            if size < newest and size not in self.held["checkpoint"]:
                self.add("checkpoint", f"log/checkpoints/{size:020}", "it is gone, or was never written, and a later one is there")
        if self.broken:
            self.report.tell([f"log: nothing after size {self.tree.size} could be looked at"])
        if waiting := sum(size > newest for size in self.roots):
            self.report.tell([f"log: {waiting} commits after size {newest} have no checkpoint yet"])

    def check_newest(self):
        key, data = "log/checkpoint", self.store.read("log/checkpoint")
        newest = max(self.held["checkpoint"], default=None)
        sizes = [size for size, held in self.held["checkpoint"].items() if data and self.store.read(held) == data]
        if data is None and newest is not None:
            self.add("checkpoint", key, "there are checkpoints, and no newest one")
        elif data is not None and not sizes:
            self.add("checkpoint", key, "it is none of log/checkpoints")
        elif sizes and sizes[0] != newest:
            self.report.tell([f"log/checkpoint is that of size {sizes[0]}; the newest is of size {newest}"])

    def keys(self):
        """[(first size that it signs, key)]: the log's first key, where it is known, and those that followed it."""
        changes = self.order.keys
        if changes:
            return [(0, changes[0][1].old)] + [(size, change.new) for size, change in changes]
        given = self.trust.logs if self.trust else ()
        _, lines = self.signed[max(self.signed)] if self.signed else (None, ())
        names = {(line.name, line.id) for line in lines}
        return [(0, key) for key in given if key.name == self.origin and (key.name, key.id) in names][:1]

    def check_signatures(self):
        keys = self.keys()
        self.vouched = bool(self.trust) and any(key in self.trust.logs for _, key in keys)
        if self.trust and self.signed and not self.vouched:
            self.add("key", "log/checkpoint", "it is signed with no key that was given")
        for size, (text, lines) in self.signed.items() if keys else ():
            due = [key for first, key in keys if first < size][-1:] + [key for first, key in keys if first == size]
            named = [f"{key.name}+{key.id.hex()}" for key in due]
            try:
                if [f"{line.name}+{line.id.hex()}" for line in lines] != named:
                    raise note.BadNote(f"it is not signed by {' and then '.join(named)} alone")
                for key in due:
                    note.signed_by(key, text, lines)
            except note.BadNote as error:
                self.add("checkpoint", self.held["checkpoint"][size], str(error))

    # Witnesses and time-stamps.

    def check_cosignatures(self):
        witnessed, unknown = {}, 0
        for (size, number), key in sorted(self.held["cosignature"].items()):
            try:
                held = (self.store.read(key) or b"").decode()
                line = note.parse_line(held.removesuffix("\n"))
                if not held.endswith("\n") or line.id.hex() != number:
                    raise note.BadNote("not the line of the witness that its name names")
                if self.unknown(size):
                    continue
                if size not in self.signed:
                    raise note.BadNote("there is no sound checkpoint of this size")
                known = [key.name for key in self.trust.witnesses.values() if key.id == line.id] if self.trust else []
                if known and line.name not in known:
                    raise note.BadNote("not of the name that the witness's key has")
                found = self.trust.cosigned(self.signed[size][0], [line]) if self.trust else {}
            except (note.BadNote, UnicodeDecodeError) as error:
                self.add("cosignature", key, str(error) if isinstance(error, note.BadNote) else "not UTF-8")
                continue
            witnessed.setdefault(size, {}).update(found)
            unknown += not found
        wanted = self.trust and self.trust.quorum not in (None, "none")
        sizes = [size for size, names in witnessed.items() if names and self.trust.is_met(names)]
        if sizes:
            names = witnessed[max(sizes)]
            self.report.tell([f"log: witnessed up to size {max(sizes)} by {', '.join(sorted(names))}, the last of them at "
                              f"{max(names.values())} (Unix time)"])
        elif wanted and self.signed and not self.broken:
            self.add("cosignature", "log/checkpoint", "no checkpoint has the cosignatures that the policy wants")
        if unknown:
            self.report.tell([f"log: {unknown} cosignatures of witnesses that are not in what was given: not checked"])

    def check_timestamp(self, size, key):
        checkpoint = self.store.read(f"log/checkpoints/{size:020}")
        if checkpoint is None:
            self.add("timestamp", key, "there is no checkpoint of this size")
            return
        for problem in check_timestamp(self.store.read(key) or b"", checkpoint, self.tsa, self.report, key):
            self.add("timestamp", key, problem)

    def tell(self):
        newest = max(self.signed, default=0)
        who = ("signed with a key that was given" if self.vouched else
               "signed with no key that was given" if self.trust else "nobody outside vouches for its key: none was given")
        self.report.tell([f"log: {self.origin}, {self.tree.size} entries, newest checkpoint {newest}, {who}"])
        if beat := self.order.heartbeat:
            self.report.tell([f"log: the last heartbeat is of {beat.at}"])
