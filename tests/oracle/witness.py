"""A log before other people's verifier and witness in Python: aics-tlog and aics-witness, which know nothing of Chancery.

    witness.py STORE VKEYS [KEY]

STORE is a copy to write into: what the witness says is put under log/cosignatures, and a policy that wants it is printed. VKEYS holds
the log's verifier keys, one a line. With the private KEY of the newest checkpoint a split view is forged, which the witness refuses.

The witness is started as its operator would do it, in a folder of its own and on 127.0.0.1:

    aics-witness init --name NAME --listen 127.0.0.1:PORT
    aics-witness add-log --origin ORIGIN --vkey VKEY      for each key of the log
    aics-witness serve
"""

import base64
import http.client
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from aics_tlog import (FileSystemTileReader, MerkleTree, Note, consistency_proof_from_tiles, format_vkey, inclusion_proof_from_tiles,
                       parse_checkpoint, parse_note, parse_vkey, read_entry, sign_note, verify_checkpoint, verify_consistency,
                       verify_leaf_inclusion)
from aics_tlog.verified import audit_tiles
from cryptography.hazmat.primitives.serialization import load_pem_private_key

ENTRIES_MAX, CHECKPOINTS_MAX = 3000, 200  # a longer log is looked at here and there
START_SECONDS_MAX = 30
TOOLS = Path(sys.executable).parent


def main(store, vkeys, key=None):
    log, keys = Path(store, "log"), [parse_vkey(line) for line in Path(vkeys).read_text().split()]
    checkpoints = [opened(path, keys) for path in some(sorted((log / "checkpoints").iterdir()), CHECKPOINTS_MAX)]
    newest, _ = opened(log / "checkpoint", keys)
    tree = check_tiles(log, newest, checkpoints)
    with tempfile.TemporaryDirectory() as folder, Witness(Path(folder), newest.origin, keys) as witness:
        print(f"policy\twitness local {witness.vkey}")
        cosign(witness, log, tree, checkpoints)
        if key:
            refuse(witness, tree, newest, Path(key).read_text())


def some(items, most):
    """All, or about so many, the last among them."""
    step = -(-len(items) // most)
    return [item for n, item in enumerate(items) if n % step == 0 or n == len(items) - 1] if items else []


def opened(path, keys):
    """(checkpoint, bytes), signed by one of the keys."""
    data = path.read_bytes()
    found = [verify_checkpoint(parse_note(data), key) for key in keys]
    if not any(result.ok and result.log_ok for result in found):
        sys.exit(f"{path}: {[result.error for result in found]}")
    return parse_checkpoint(parse_note(data).text), data


def check_tiles(log, newest, checkpoints):
    """aics-tlog: every tile and bundle, inclusion of entries, consistency of checkpoints; the tree of the entries."""
    reader, size, root = FileSystemTileReader(log), newest.size, newest.root
    audited = audit_tiles(reader, size, root)
    entries = [read_entry(reader, n, size) for n in range(size)]
    tree = MerkleTree(entries)
    assert tree.root() == root
    listed = some(range(size), ENTRIES_MAX)
    for n in listed:
        assert verify_leaf_inclusion(entries[n], n, size, inclusion_proof_from_tiles(reader, n, size), root), n
    for checkpoint, _ in checkpoints:
        proof = consistency_proof_from_tiles(reader, checkpoint.size, size)
        assert verify_consistency(checkpoint.size, size, checkpoint.root, root, proof), checkpoint
    print(f"aics-tlog: {audited.tiles} tiles, {audited.bundles} bundles, {len(listed)} of {size} entries included, "
          f"{len(checkpoints)} checkpoints consistent", file=sys.stderr)
    return tree


class Witness:
    """aics-witness in a process of its own, which ends with the block."""

    def __init__(self, folder, origin, keys):
        self.folder, self.origin, self.keys, self.process = folder, origin, keys, None

    def __enter__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.vkey = self.run("init", "--name", "witness.example/local", "--listen", f"127.0.0.1:{self.port}").split()[-1]
        for key in self.keys:
            self.run("add-log", "--origin", self.origin, "--vkey", format_vkey(key))
        with open(self.folder / "log", "wb") as written:
            self.process = subprocess.Popen([TOOLS / "aics-witness", "serve"], cwd=self.folder, stdout=written, stderr=written)
        end = time.monotonic() + START_SECONDS_MAX
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > end:
                self.__exit__()
                sys.exit(f"the witness did not start: {(self.folder / 'log').read_text()}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def run(self, *arguments):
        return subprocess.run([TOOLS / "aics-witness", *arguments], cwd=self.folder, check=True, capture_output=True, text=True).stdout

    def answers(self):
        try:
            return self.ask("GET", "/healthz")[0] == 200
        except OSError:
            return False

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def add(self, old, proof, checkpoint):
        lines = [f"old {old}", *(base64.b64encode(node).decode() for node in proof), ""]
        return self.ask("POST", "/add-checkpoint", "".join(f"{line}\n" for line in lines).encode() + checkpoint)


def cosign(witness, log, tree, checkpoints):
    """The checkpoints one after the other, and each cosignature where it belongs."""
    old = 0
    for checkpoint, data in checkpoints:
        proof = tree.consistency_proof(old, checkpoint.size) if old else []
        status, lines = witness.add(old, proof, data)
        assert status == 200, (status, lines)
        for line in lines.splitlines(True):
            number = base64.b64decode(line.split()[-1])[:4].hex()
            path = log / f"cosignatures/{checkpoint.size:020}/{number}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(line)
        old = checkpoint.size
    first = checkpoints[0]
    status, body = witness.add(0, [], first[1])
    assert (status, body) == (409, f"{old}\n".encode()) or len(checkpoints) == 1, (status, body)
    print(f"aics-witness: cosigned {len(checkpoints)} checkpoints up to size {old}", file=sys.stderr)


def refuse(witness, tree, newest, text):
    """A longer tree, signed with the log's own key, in which the last entry of what was cosigned is another one."""
    pem = re.search("-----BEGIN PRIVATE KEY-----.*-----END PRIVATE KEY-----\n", text, re.S)[0]
    key, size = load_pem_private_key(pem.encode(), None), tree.size
    forged = MerkleTree([*(tree.leaf_data(n) for n in range(size - 1)), b"another", b"more"])
    body = f"{newest.origin}\n{size + 1}\n{base64.b64encode(forged.root()).decode()}\n"
    signed = Note(body, (sign_note(body, key, newest.origin),)).to_bytes()
    for proof in (forged.consistency_proof(size), tree.consistency_proof(size), [forged.root()]):
        status, answer = witness.add(size, proof, signed)
        assert status == 422, (status, answer)
    honest = MerkleTree([*(tree.leaf_data(n) for n in range(size)), b"more"])
    body = f"{newest.origin}\n{size + 1}\n{base64.b64encode(honest.root()).decode()}\n"
    signed = Note(body, (sign_note(body, key, newest.origin),)).to_bytes()
    status, answer = witness.add(size, honest.consistency_proof(size), signed)
    assert status == 200, (status, answer)
    print(f"aics-witness: refused a forged split view of size {size + 1} with 422, and cosigned an honest one", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
