"""A store with a log: two partitions, a quiet time of hourly heartbeats, a change of the log's key, an epoch that was cut."""

import chancery_spec as spec
import messages
import tlog
from messages import HEADERS, Source, content, inline, message
from stores import Partition, event, session_in

ORIGIN = "log.example/golden"
HOUR = 3600
FIRST = messages.T0_MS // 1000
WITNESSES = ("witness.example/one", "witness.example/two")


def time_text(seconds):
    """Of the first thirty days from 2026-09-21T14:13:20Z."""
    days, rest = divmod(seconds - FIRST + 14 * HOUR + 13 * 60 + 20, 24 * HOUR)
    month, day = (9, 21 + days) if days < 10 else (10, days - 9)
    return f"2026-{month:02}-{day:02}T{rest // HOUR:02}:{rest // 60 % 60:02}:{rest % 60:02}Z"


class Made:
    """The store's files, and what bundles are made from."""

    def __init__(self):
        self.source, self.files = Source("store-log"), {}
        self.old, self.new = (tlog.Key(ORIGIN, self.source.fresh(32)) for _ in range(2))
        self.witnesses = [tlog.Key(name, self.source.fresh(32), tlog.WITNESS) for name in WITNESSES]
        cluster = "MkU3OEVBNTcwNTJENDM2Qg", "q1Y0c3hPTWuYxJZkN2b4Kw"
        self.zero, self.one = (Partition(self.files, "events", n, *cluster) for n in range(2))
        self.alpha, self.beta, self.gone = (session_in(0, name) for name in ("alpha", "beta", "gone"))
        self.other = session_in(1, "delta")
        self.log = tlog.Log(self.files, self.old)
        self.at = FIRST

    def beats(self):
        """A heartbeat of both partitions, an hour after the one before."""
        self.at += HOUR
        lines = [(chain.partition, chain.epoch, chain.next, chain.prev, end)
                 for chain, end in ((self.zero, chain_end(self.zero)), (self.one, "-"))]
        return tlog.heartbeat("events", 0, 3, time_text(self.at), lines)


def chain_end(chain):
    """In epoch 0 three messages always wait to be sealed."""
    return chain.next if chain.epoch else chain.next + 3


def make():
    made = Made()
    source, zero, one, log = made.source, made.zero, made.one, made.log
    for chain in (zero, one):
        chain.open_epoch(0, "genesis", time_text(FIRST))
    log.append(zero.links[-1], one.links[-1])

    prompt, answer = source.body("You are a travel agent."), source.body("Paris is sunny.")
    call, secret = source.body('{"city":"Paris"}'), source.encrypted("the traveller's diagnosis")
    document = "Sunny. " * 50
    claim = source.claim(document)
    made.bodies = {"prompt": (prompt, b"You are a travel agent."), "claim": (claim, document.encode())}
    session = spec.session_key("acme", made.alpha)
    made.files[spec.body_key(session, claim["digest"])] = document.encode()

    made.base = event(source, 1, made.alpha, [prompt], kind="llm.call", signed=True)
    following = event(source, 2, made.alpha, [answer], [inline(answer, role="assistant")], kind="llm.call",
                      context_prefix={"event_digest": made.base[1].digest, "count": 1},
                      context_digest=spec.context_digest([prompt["digest"], answer["digest"]]))
    key = f"acme/{made.alpha}".encode()
    made.tombstone = (message(source, 5, key, None, HEADERS[:1]), "tombstone")
    zero.seal([
        event(source, 0, made.alpha, kind="session.start", headers=HEADERS), made.base, following,
        event(source, 3, made.beta, [claim_of(source, made)], None, kind="retrieval"),
        event(source, 4, made.alpha, [claim], [content(claim, len(document), kind="document")], kind="retrieval"),
        made.tombstone], 7, [(session, claim["digest"], document.encode())], "0:4", salt=source.fresh(16))
    zero.seal([], 9)
    log.append(*zero.links[-2:])
    one.seal([event(source, offset, made.other, [source.body(f"body {offset}")]) for offset in range(2)], 2)
    log.append(one.links[-1], made.beats())
    log.append(*(made.beats() for _ in range(250)))

    zero.seal([event(source, 9, made.beta), event(source, 10, made.alpha, [call, secret], [
        inline(prompt), inline(call, kind="tool_arguments", role=""), content(secret, 25)], kind="tool.call")], 11)
    one.seal([event(source, 3, made.other)], 4)
    log.append(zero.links[-1], one.links[-1], tlog.key_change(made.old, made.new, time_text(made.at)), changed=made.new)

    zero.terminate()
    zero.open_epoch(13, "truncated", time_text(made.at + 60), missing=[(11, 13)])
    late = event(source, 14, made.alpha, [], [inline(prompt)], kind="session.end", session_event_count=6)
    late[0]["timestamp"] = made.at * 1000 + 120_000
    zero.seal([event(source, 13, made.beta), late], 15)
    log.append(*zero.links[-2:], *(made.beats() for _ in range(3)))
    made.last = made.at  # of the last heartbeat
    made.cosigned = {size: "".join(log.cosign(witness, size, made.at + size) for witness in witnesses)
                     for size, witnesses in ((259, made.witnesses[:1]), (264, made.witnesses))}
    return made


def claim_of(source, made):
    """A body of the other session."""
    return source.body(f"for {made.beta} alone")


def trust(made):
    """Files that a verifier may be given: one key, and a policy of C2SP."""
    policy = [f"log {made.old.vkey}", f"log {made.new.vkey}"]
    policy += [f"witness w{n} {witness.vkey}" for n, witness in enumerate(made.witnesses)]
    policy += ["group both all w0 w1", "quorum both"]
    return {"store-log.vkey": f"{made.new.vkey}\n", "store-log.first.vkey": f"{made.old.vkey}\n",
            "store-log.vkeys": f"{made.old.vkey}\n{made.new.vkey}\n",
            "store-log.policy": "# who vouches for the golden log\n" + "".join(f"{line}\n" for line in policy),
            "store-log.key": made.new.private()}
