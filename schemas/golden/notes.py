"""Vectors of the log's texts: verifier keys, notes, checkpoints, cosignatures, tiles, commits, heartbeats, key changes, proofs.

A case that is not good names the rule that it breaks.
"""

import chancery_spec as spec
import ed25519
import tlog
from messages import Source

TIME = 1_790_000_000


def cases(made):
    """Contents of log.json, over the golden store's log and its keys."""
    return {
        "keys": keys(made), "notes": notes(made), "checkpoints": checkpoints(made), "cosignatures": cosignatures(made),
        "tile_names": [{"level": level, "index": index, "width": width, "path": tlog.tile_name(level, index, width)}
                       for level, index, width in ((0, 0, 256), (0, 0, 1), (0, 999, 255), (1, 1000, 256), (0, 1234067, 256),
                                                   (2, 1234067, 7), ("entries", 0, 3), ("entries", 273, 256))],
        "tiles_of": [{"size": size, "paths": [tlog.tile_name(*tile) for tile in tlog.tile_names(size)]}
                     for size in (0, 1, 255, 256, 257, 1000, 65536)],
        "consistency": consistency(), "proofs": proofs(made), "entries": entries(made), "commits": commits(made),
        "claims": claims(),
    }


def case(name, text, good=True, **more):
    return {"name": name, "text": text, "good": good, **more}


def keys(made):
    key, witness = made.old, made.witnesses[0]
    other = spec.sha256(b"no key")[:4].hex()

    def vkey(name="log.example/golden", number=key.id.hex(), data=bytes([1]) + key.public):
        return f"{name}+{number}+{tlog.b64(data)}"

    def of(name, kind=1, public=key.public):
        return vkey(name, spec.sha256(name.encode() + b"\n" + bytes([kind]) + public)[:4].hex(), bytes([kind]) + public)

    good = [case("log", key.vkey, kind=1, id=key.id.hex(), public=key.public.hex(), seed=key.seed.hex(), private=key.private()),
            case("witness", witness.vkey, kind=4, id=witness.id.hex(), public=witness.public.hex(), seed=witness.seed.hex())]
    assert vkey() == key.vkey and of(key.name) == key.vkey
    bad = {"another_id": vkey(number=other), "another_name": vkey(name="log.example/other"), "no_name": of(""),
           "name_with_a_space": of("log example"), "name_with_a_wide_space": of("log\u3000example"),
           "id_in_capitals": vkey(number=key.id.hex().upper()), "id_too_short": vkey(number=key.id.hex()[:6]),
           "type_5": of(key.name, 5), "key_too_short": of(key.name, 1, key.public[:31]),
           "no_padding": key.vkey.rstrip("="), "a_newline": key.vkey + "\n", "small_order": of(key.name, 1, ed25519.encode(
               ed25519.small_order_point())), "not_on_the_curve": of(key.name, 1, not_on_the_curve())}
    return good + [case(name, text, False) for name, text in bad.items() if text != key.vkey]


def not_on_the_curve():
    for y in range(2, 100):
        try:
            ed25519.decode(y.to_bytes(32, "little"))
        except AssertionError:
            return y.to_bytes(32, "little")
    raise AssertionError("every y is on the curve")


def notes(made):
    """Notes and the key they are to be checked with."""
    key, other = made.old, made.new
    text = "log.example/golden\n7\n" + tlog.b64(spec.sha256(b"root")) + "\n"
    line = key.sign(text)
    good = {"one_line": tlog.note(text, line), "another_key_first": tlog.note(text, other.sign(text), line),
            "unknown_signature_after": tlog.note(text, line, "\u2014 somebody.example AAAAAAEC\n"),
            "an_empty_line_in_the_text": tlog.note("\n" + text, key.sign("\n" + text)),
            "cosigned": tlog.note(text, line, made.witnesses[0].cosign(text, TIME))}
    flipped = key.line(ed25519.sign(key.seed, text.encode())[:-1] + b"\0")
    bad = {"no_signature": text + "\n", "no_empty_line": text + line, "another_key_only": tlog.note(text, other.sign(text)),
           "changed_text": tlog.note(text.replace("7", "8"), line), "flipped_signature": tlog.note(text, flipped),
           "one_good_one_bad_of_the_key": tlog.note(text, line, flipped), "last_newline_missing": tlog.note(text, line)[:-1],
           "byte_after": tlog.note(text, line) + "x", "hyphen_for_a_dash": tlog.note(text, line.replace("\u2014", "-")),
           "two_spaces": tlog.note(text, line.replace("\u2014 ", "\u2014  ")), "carriage_return": tlog.note(text, line).replace(
               "\n7\n", "\n7\r\n"), "signature_too_short": tlog.note(text, key.line(bytes(63))),
           "signature_of_no_bytes": tlog.note(text, key.line(b"")), "base64_not_canonical": tlog.note(text, loose(line)),
           "empty": ""}
    return [case(name, held, vkey=key.vkey) for name, held in good.items()] + [
        case(name, held, False, vkey=key.vkey) for name, held in bad.items()]


def loose(line):
    """The same bytes, with a bit set that base64 does not use."""
    assert line.endswith("=\n"), line
    at = -4 if line.endswith("==\n") else -3
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return line[:at] + alphabet[alphabet.index(line[at]) + 1] + line[at + 1:]


def checkpoints(made):
    root = spec.sha256(b"root")
    good = [case("of_size", tlog.checkpoint_text("log.example/golden", size, root), origin="log.example/golden", size=size,
                 root=root.hex()) for size in (1, 7, 2 ** 63 - 1)]
    text = good[1]["text"]
    bad = {"leading_zero": text.replace("\n7\n", "\n07\n"), "negative": text.replace("\n7\n", "\n-7\n"),
           "no_origin": text.partition("\n")[2], "empty_origin": "\n" + text.partition("\n")[2], "beyond_64_bits":
           text.replace("\n7\n", f"\n{2 ** 64}\n"), "root_too_short": tlog.checkpoint_text("log.example/golden", 7, root[:31]),
           "root_without_padding": text.replace("=", ""), "no_last_newline": text[:-1], "a_space": text.replace("7", "7 "),
           "an_extension_line": text + "more\n"}
    return good + [case(name, held, False) for name, held in bad.items()]


def cosignatures(made):
    """Lines of witnesses over the checkpoint of the golden log's size 264, with the verifier key and the time that they say."""
    text = made.log.checkpoints[264].partition("\n\n")[0] + "\n"
    witness, other = made.witnesses
    line = witness.cosign(text, TIME)
    shared = {"vkey": witness.vkey, "note_text": text}
    good = [case("at", witness.cosign(text, time), time=time, **shared) for time in (1, TIME, 2 ** 63 - 1)]
    signature = ed25519.sign(witness.seed, f"cosignature/v1\ntime {TIME}\n{text}".encode())
    plain = tlog.Key(witness.name, witness.seed)
    bad = {"of_another_witness": other.cosign(text, TIME), "of_another_text": witness.cosign(text.replace("264", "265"), TIME),
           "another_time": witness.line(spec.u64(TIME + 1) + signature), "no_time": witness.line(signature),
           "a_plain_signature": plain.sign(text), "time_beyond_63_bits": witness.cosign(text, 2 ** 63), "no_newline": line[:-1]}
    return good + [case(name, held, False, **shared) for name, held in bad.items()]


def consistency():
    """The tree of leaves u64(i) hashed as entries are, as in merkle.json but for their hashes."""
    leaves = [spec.sha256(b"\0" + spec.u64(i)) for i in range(300)]
    made = [(old, new) for new in range(1, 20) for old in range(1, new + 1)] + [(256, 300), (255, 257), (1, 300), (299, 300)]
    root = lambda size: spec.merkle_root(leaves[:size]).hex()
    return [{"old": old, "new": new, "old_root": root(old), "new_root": root(new),
             "proof": [node.hex() for node in tlog.consistency_proof(old, leaves[:new])]} for old, new in made]


def proofs(made):
    """A tlog-proof of an entry of the golden log, and ones to be refused."""
    link, size = made.zero.links[1], 264
    index, leaves, checkpoint = made.log.entries.index(link), made.log.leaves[:size], made.log.checkpoints[size]
    nodes, shared = spec.inclusion_proof(index, leaves), {"leaf_hash": spec.record_leaf(link).hex()}
    of = lambda index, nodes: tlog.tlog_proof(index, nodes, checkpoint)
    good = of(index, nodes)
    bad = {"another_index": of(index + 1, nodes), "index_past_the_end": of(size, nodes), "a_hash_less": of(index, nodes[:-1]),
           "a_hash_more": of(index, [*nodes, nodes[0]]), "hashes_swapped": of(index, [nodes[1], nodes[0], *nodes[2:]]),
           "another_checkpoint": tlog.tlog_proof(index, nodes, made.log.checkpoints[259]),
           "leading_zero": good.replace("index ", "index 0"), "no_empty_line": good.replace("\n\n", "\n", 1),
           "another_version": good.replace("@v1", "@v2"), "no_checkpoint": good.partition("\n\n")[0] + "\n\n",
           "extra_data": good.replace("index", "extra AAAA\nindex", 1)}
    last = made.log.entries[size - 1]
    ends = case("of_the_last", made.log.proof(last, size), leaf_hash=spec.record_leaf(last).hex())
    return [case("inclusion", good, **shared), ends] + [
        case(name, text, False, **shared) for name, text in bad.items()]


def entries(made):
    """Heartbeats and key changes; the links are in records.json."""
    beat, at = made.beats(), "2026-10-02T12:00:00Z"
    change = tlog.key_change(made.old, made.new, at)
    lines = beat.splitlines(True)
    wrong_name = tlog.Key("log.example/other", made.new.seed)
    head = "".join(lines[:5])
    shown = f"{'0' * 64} -\n"
    bad = {"from_past_to": beat.replace("from 0", "from 4"), "partition_outside": beat.replace("to 3", "to 1"),
           "partitions_descend": "".join([*lines[:5], lines[6], lines[5]]), "partition_twice": beat + lines[6],
           "no_time": beat.replace(lines[4], ""), "no_leaf_hash": beat.replace(lines[6].split()[4], "-"),
           "range_of_257": head.replace("to 3", "to 257"), "range_of_none": head.replace("to 3", "to 0"),
           "no_such_day": beat.replace(lines[4], "at 2026-02-29T12:00:00Z\n"),
           "no_such_hour": beat.replace(lines[4], "at 2026-03-01T24:00:00Z\n")}
    keys = {"old_signature_of_another": change.replace(change.split()[-3], change.split()[-1]),
            "new_signature_of_another": change.replace(change.split()[-1], change.split()[-3]),
            "another_time": change.replace("12:00:00", "12:00:01"), "two_names": tlog.key_change(made.old, wrong_name, at),
            "of_a_witness": tlog.key_change(made.old, made.witnesses[0], at), "line_missing": change.replace(f"at {at}\n", "")}
    full = head.replace("to 3", "to 256") + "".join(f"partition {n} 0 0 {shown}" for n in range(256))
    return [case("heartbeat", beat), case("heartbeat_of_256", full), case("heartbeat_of_none", head),
            case("key_change", change)] + [
        case(name, text, False) for name, text in (bad | keys).items()]


def commits(made):
    whole = made.files[f"log/commits/{256:020}"]
    held = made.log.entries
    one = held[2:3]
    one = tlog.commit(made.old.name, 2, one, spec.merkle_root(made.log.leaves[:3]))
    beats = [tlog.heartbeat("events", 0, 1, "2026-10-02T12:00:00Z", [(0, 0, 0, "0" * 64, "-")])]
    bad = {"no_entries": tlog.commit(made.old.name, 2, [], spec.merkle_root(made.log.leaves[:2])),
           "entries_257": tlog.commit(made.old.name, 2, beats * 257, bytes(32)),
           "a_byte_less": whole[:-1], "a_byte_more": whole + b"\0", "no_empty_line": whole.replace(b"\n\n", b"\n", 1),
           "another_count": whole.replace(b"next 259", b"next 258"), "start_with_zero": whole.replace(b"start 256", b"start 0256"),
           "key_change_not_last": tlog.commit(made.old.name, 256, [held[258], held[256], held[257]], bytes(32)),
           "no_entry_of_ours": tlog.commit(made.old.name, 2, ["hello\n"], bytes(32))}
    good = {"of_three": whole, "of_one": one, "of_256": tlog.commit(made.old.name, 2, beats * 256, bytes(32))}
    return [{"name": name, "data": data.hex(), "good": True, "entries": data.count(b"chancery/") - 1}
            for name, data in good.items()] + [{"name": name, "data": data.hex(), "good": False} for name, data in bad.items()]


def claims():
    """The footer's claims with their salt, section 5.3."""
    source = Source("claims")
    session, salt = spec.session_key("acme", "s-1"), source.fresh(16)
    text = spec.claims_text([(session, source.fresh(32), source.fresh(size)) for size in (5, 70000)], salt)
    return {"salt": salt.hex(), "text": text, "counted": spec.counted("claims", text)}
