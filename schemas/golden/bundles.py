"""Evidence bundles of docs/format.md, section 10, over the store of logs.py."""

import io
import zipfile

import chancery_spec as spec
import tlog

CLAIM = "claim origin size topic partition key event from to links disclosed withheld monitor made_at writer".split()


def files(made):
    """File name and bytes of every golden bundle, and what each claims."""
    one, all_bodies = [made.bodies["prompt"]], list(made.bodies.values())
    start = min(times(made, 0))
    within = {"from": max(times(made, 0)) + 1, "to": min(times(made, 3))}
    between = {"from": max(times(made, 2)) + 1, "to": max(times(made, 3))}  # of the session's own rows
    wanted = {
        "event": ("event", made.alpha, links(made, 1, 2), one, {"event": made.base[1].digest.hex()}),
        "session": ("session", made.alpha, links(made, 1, 6), one, {}),
        "session-disclosed": ("session", made.alpha, links(made, 0, 6), all_bodies, {}),
        "absent": ("absent", made.gone, links(made, 0, 6), [], {"from": start, "to": made.last * 1000 + 10 ** 7}),
        "absent-within": ("absent", made.gone, links(made, 1, 6), [], within),
        "absent-between": ("absent", made.alpha, links(made, 3, 6), [], between),
        "absent-waiting": ("absent", made.gone, links(made, 0, 3), [], {"from": start, "to": made.last * 1000 - 10 ** 8}),
        "absent-until": ("absent", made.gone, links(made, 3, 6), [], between | {"to": made.last * 1000}),
    }
    beats = {"absent-until": made.log.entries[-1], "absent-waiting": made.log.entries[255]}  # three messages waited then
    return {f"{name}.zip": bundle(made, *given, beat=beats.get(name)) for name, given in wanted.items()}


def times(made, segment):
    return [row["columns"]["timestamp"] for row in made.zero.segments[segment][1]]


def links(made, first, after):
    """Links of partition 0, each with the rows of its segment, or None."""
    rows = {key: rows for key, rows in made.zero.segments}
    named = lambda link: next((line[4:] for line in link.splitlines() if line.startswith("key ")), None)
    return [(link, rows.get(named(link))) for link in made.zero.links[first:after]]


def bundle(made, claim, session_id, shown, bodies, more, size=264, beat=None):
    session = spec.session_key("acme", session_id)
    cosigned = made.cosigned[size]
    held = {"checkpoint": made.log.checkpoints[size].encode(), "cosignatures": cosigned.encode()}
    carried = []  # events that the bundle shows
    for n, (link, rows) in enumerate(shown):
        held[f"links/{n:08}/entry"] = link.encode()
        held[f"links/{n:08}/proof"] = made.log.proof(link, size, cosigned).encode()
        if rows is not None:
            text, events = rows_text(rows, session, more.get("event"))
            held[f"links/{n:08}/rows"] = text.encode()
            carried += events
    if beat:
        held |= {"heartbeat/entry": beat.encode(), "heartbeat/proof": made.log.proof(beat, size, cosigned).encode()}
    named = {content["digest"] for row in carried for content in row["fields"]["contents"]}
    bodies = [(body, content) for body, content in bodies if body["digest"] in named]
    for body, content in bodies:
        held[f"bodies/{body['digest'].hex()}"] = body["salt"] + content
    if carried:
        held[f"schemas/{spec.SCHEMA_DIGEST.hex()}.avsc"] = spec.AVSC
    fields = {"claim": claim, "origin": made.log.key.name, "size": size, "topic": "events", "partition": 0,
              "key": tlog.b64(f"acme/{session_id}".encode()), "event": "-", "from": "-", "to": "-", "links": len(shown),
              "disclosed": len(bodies), "withheld": len(named) - len(bodies),
              "monitor": f"{size} 2026-10-02T10:00:00Z",
              "made_at": "2026-10-02T12:00:00Z", "writer": "golden/1"} | more
    held = {"bundle": spec.lines("chancery/bundle@v1", [(name, fields[name]) for name in CLAIM]).encode()} | held
    held["VERIFY.md"] = b"# How to verify this bundle\n\n`verify.py BUNDLE --trust FILE`\n"
    held["bundle.html"] = b"<!doctype html><title>Evidence</title><p>It proves nothing.\n"
    return zipped(held)


def rows_text(rows, session, only=None):
    """The text of `rows`: all rows of the session and the neighbours, or one row; and the fields of events it shows."""
    inside = [row["session_key"] == session and only in (None, row["event_digest"].hex()) for row in rows]
    if only:
        a = inside.index(True)
        b = a + 1
    else:
        below = sum(row["session_key"] < session for row in rows)
        a, b = max(below - 1, 0), min(below + sum(inside) + 1, len(rows))
    left, right = spec.range_proof(a, b, [row["leaf"] for row in rows])
    text = spec.lines("chancery/rows@v1", [("size", len(rows)), ("start", a), *(("left", node.hex()) for node in left),
                                           *(("right", node.hex()) for node in right)])
    for row, ours in zip(rows[a:b], inside[a:b]):
        text += row_text(row) if ours else f"other {row['session_key'].hex()} {row['offset']} {row['row_digest'].hex()}\n"
    return text, [row for row, ours in zip(rows[a:b], inside[a:b]) if ours and row["fields"]]


def row_text(row):
    columns, event = row["columns"], row["fields"] is not None
    pairs = [("row", row["offset"]), ("schema", columns["schema"].hex() if event else "-"),
             ("event", "-" if event else row["event_digest"].hex()),
             ("timestamp", f"{columns['timestamp_type']} {columns['timestamp'] or 0}"), ("headers", row["headers_digest"].hex())]
    pairs += [(name, tlog.b64(columns[name]) if columns.get(name) is not None else "-")
              for name in ("frame", "envelope", "signature", "admission")]
    pairs.append(("raw", columns.get("raw_reason") or "-"))
    pairs += [("body", f"{digest.hex()} {'inline' if item is None else item.hex()}") for digest, item in row["bodies"]]
    return "".join(f"{name} {value}\n" for name, value in pairs)


def zipped(held, stored=True):
    """The zip of the files, with the hash of what precedes it as its comment."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in held.items():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, data, zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED)
        archive.comment = bytes(64)
    data = out.getvalue()[:-64]
    return data + spec.sha256(data).hex().encode()
