/* The sealing protocol of one partition: what is put in the store, in which order, and what is believed of what is found there.
 *
 * It models sealers that crash between any two effects, a store whose answers are lost or late, listings that miss the newest
 * keys, a source whose retention passes, an intruder who plants an object, and operators who resume a stopped partition. It
 * does not model bytes: a segment is its range, whether the marker in it is a row, and whether its last row was invented.
 * `audit` is the property; it looks at the store alone, as a verifier does, after every write.
 *
 * A step is one effect on the store with all that follows from it without another. Sizes, what the world may do (RETENTION,
 * PLANT, RESUME, VIEWS) and the mistake, if any, are given with -D; run.sh says which.
 */

#ifndef N
#define N 3                     /* offsets of the partition: 0 … N-1 */
#endif
#ifndef E
#define E 1                     /* epochs */
#endif
#ifndef SEALERS
#define SEALERS 2
#endif
#define GAP 1                   /* the offset of a transaction's marker */
#define NOWHERE 15              /* no offset */

/* ---- The mistakes: each is false in the protocol. ---- */

#ifndef OVERWRITES
#define OVERWRITES false        /* the PUT has no condition */
#endif
#ifndef MINE
#define MINE false              /* "exists" is taken to mean that one's own segment is there */
#endif
#ifndef COMMITS_FIRST
#define COMMITS_FIRST false     /* the offset is committed before the PUT, and is the position after a restart */
#endif
#ifndef BELIEVES
#define BELIEVES false          /* what is found is adopted without a look at the source */
#endif
#ifndef LOOKS_NO_FURTHER
#define LOOKS_NO_FURTHER false  /* it is compared only as far as the batch in memory reaches */
#endif
#ifndef OPENS_FIRST
#define OPENS_FIRST false       /* the new epoch is opened before the old one is ended */
#endif
#ifndef LEAVES_BRANCH
#define LEAVES_BRANCH false     /* a segment is abandoned, but what may be chained to it is not ended */
#endif
#ifdef KEY_OF_FIRST_ROW         /* the key is the first row's offset */
#define KEY(from) (from + (from == GAP && !shows[me]))
#else
#define KEY(from) (from)
#endif

/* ---- The store. ---- */

mtype = { none, segment, terminal, junk, opening };     /* what stands at a key, or is on its way */

typedef Object {
    mtype kind = none;
    byte start;                 /* first offset covered; the key, in all but one of the mistakes */
    byte next;                  /* first offset not covered */
    bool row;                   /* whether the marker at GAP is a row in it */
    bool invented               /* whether the row at next-1 is none of the source's */
};
typedef Epoch {
    bool opened;
    byte end;                   /* where the epoch before ends: the key of its terminal object, or of the first abandoned one */
    byte start;                 /* [end, start) is named missing */
    byte abandoned;             /* bit k: the object at key k of the epoch before is left behind: it is listed, or covered anew */
    Object at[N + 1]            /* by key */
};
Epoch epoch[E];

/* A PUT that the store has yet to carry out, whoever sent it. */
typedef Late { mtype kind = none; byte epoch, key, start, next, abandoned; bool row };
Late late;

/* ---- The source. ---- */

byte kept;                      /* first offset that retention has left */
#if COMMITS_FIRST
byte hint;                      /* the group's committed offset; nothing else reads it, since a listing may begin anywhere */
#endif
/* What a sealer's client makes of the marker: an aborted record is a row to one that does not hide it. */
bool shows[SEALERS];

/* Scratch: no part of the state. */
hidden byte a, b, c, d, x, covered, differs;

/* ---- The property. ---- */

/* Walks the chain through all epochs as a verifier does, and sets `covered` to its end. Every offset before that is in one
 * segment or in one named range, since the walk goes from `next` to `next`; what is left to ask is that nothing lies off it. */
inline audit() {
    d_step {
        x = epoch[0].start;
        covered = 0;
        for (a : 0 .. E - 1) {
            if
            :: epoch[a].opened && a > 0 ->
                assert(epoch[a].end == x && epoch[a].start >= x);       /* it continues, and names what it skips */
                x = epoch[a].start
            :: else
            fi;
            c = NOWHERE;
            d = 0;
#if E > 1
            if
            :: a + 1 < E && epoch[a + 1].opened -> c = epoch[a + 1].end; d = epoch[a + 1].abandoned
            :: else
            fi;
#endif
            for (b : 0 .. N) {
                if
                :: epoch[a].at[b].kind != segment
                :: epoch[a].at[b].kind == segment ->
                    covered = (epoch[a].at[b].next > covered -> epoch[a].at[b].next : covered);
                    if
                    :: (d >> b) & 1
                    :: !((d >> b) & 1) ->
                        /* Else it is a fork, follows a hole, or extends an epoch that has ended. */
                        assert(epoch[a].at[b].start == x && x != c);
                        x = epoch[a].at[b].next
                    fi
                fi
            }
        }
        a = 0; b = 0; c = 0; d = 0; x = 0
    }
}

/* The source is told to forget what lies before `next_`: all of it is sealed, and nothing invented stands in place of what the
 * source still holds. */
inline forget(next_) {
    d_step {
        audit();
        assert(covered >= next_);
        for (a : 0 .. N) {
            assert(!(epoch[e].at[a].invented && epoch[e].at[a].next <= next_ && kept < epoch[e].at[a].next))
        }
        a = 0
    }
}

/* ---- Effects. ---- */

#define TAKEN(kind_, e_, key_) ((kind_ == opening && epoch[e_].opened) || (kind_ != opening && epoch[e_].at[key_].kind != none))

/* The store carries out a PUT. */
inline write(kind_, e_, key_, start_, next_, abandoned_, row_) {
    if
    :: kind_ == opening ->
        epoch[e_].opened = true;
        epoch[e_].end = key_;
        epoch[e_].start = next_;
        epoch[e_].abandoned = abandoned_
    :: else ->
        assert(epoch[e_].at[key_].kind == none);        /* nothing is overwritten */
        epoch[e_].at[key_].kind = kind_;
        epoch[e_].at[key_].start = start_;
        epoch[e_].at[key_].next = next_;
        epoch[e_].at[key_].row = row_
    fi;
    audit()
}

/* A create-only PUT. Whatever else comes back than "created" says nothing: it may be stored, refused (a 409 is reported as
 * "exists" too), lost, or still on its way. */
inline put(kind_, e_, key_, start_, next_, abandoned_, row_, created) {
    created = false;
    if
    :: !TAKEN(kind_, e_, key_) || OVERWRITES ->
        write(kind_, e_, key_, start_, next_, abandoned_, row_);
        if
        :: created = true
        :: skip
        fi
    :: TAKEN(kind_, e_, key_) -> created = MINE
    :: !TAKEN(kind_, e_, key_) && late.kind == none ->
        late.kind = kind_;
        late.epoch = e_;
        late.key = key_;
        late.start = start_;
        late.next = next_;
        late.abandoned = abandoned_;
        late.row = row_
    fi
}

/* Whether the segment at a key is seen to hold other rows than the source. A row is known where it is in memory (before
 * `memory_`) or still in the source. */
#define KNOWN(offset_, memory_) (offset_ < memory_ || (kept <= offset_ && !LOOKS_NO_FURTHER))
inline compare(e_, key_, memory_) {
    differs = !BELIEVES && (
        (epoch[e_].at[key_].invented && KNOWN(epoch[e_].at[key_].next - 1, memory_))
        || (epoch[e_].at[key_].start <= GAP && GAP < epoch[e_].at[key_].next
            && epoch[e_].at[key_].row != shows[me] && KNOWN(GAP, memory_)))
}

/* ---- A sealer. ---- */

proctype Sealer(byte me) {
    byte e;                     /* its epoch */
    byte head;                  /* end of the chain, as far as it knows */
    byte next;                  /* of the batch in memory, which begins at the head */
    byte end, abandoned;        /* of the epoch, when it is being ended */
    bool created;

restart:
    /* After a crash, a stop or a shutdown nothing is remembered. */
    atomic { e = 0; head = 0; next = 0; end = 0; abandoned = 0 };

    /* Finds the head, from some opening and some segment, and reads a batch. */
    if
    :: atomic { !epoch[0].opened -> put(opening, 0, 0, 0, kept, 0, false, created); created = false; goto restart }
    :: atomic {
        epoch[0].opened ->
        for (a : 1 .. E - 1) {
            if
            :: epoch[a].opened -> e = a
            :: true
            fi
        };
        a = 0;
        head = epoch[e].start;
        select(b : 0 .. N);
        if
#if COMMITS_FIRST
        :: head = (hint > head -> hint : head)
#else
        :: epoch[e].at[b].kind == segment ->
            compare(e, b, 0);
            if
            :: differs -> goto stopped
            :: else -> head = epoch[e].at[b].next
            fi
        :: epoch[e].at[b].kind == none                                  /* none is listed yet */
        :: epoch[e].at[b].kind == terminal || epoch[e].at[b].kind == junk -> goto stopped
#endif
        fi;
        b = 0;
        goto fill
       }
    fi;

seal:
    do
    :: atomic {
#if COMMITS_FIRST
        hint = next;
       }
       atomic {
#endif
        put(segment, e, KEY(head), head, next, 0, shows[me] && head <= GAP && GAP < next, created);
        if
        :: created -> created = false; end = next; goto sealed
        :: else
        fi
       }
    :: atomic {
        /* No answer, or "exists": what stands there tells which. A look that comes too early does no harm. */
        epoch[e].at[KEY(head)].kind != none ->
        if
        :: epoch[e].at[KEY(head)].kind != segment || epoch[e].at[KEY(head)].start != head -> goto stopped
        :: else
        fi;
        compare(e, KEY(head), next);
        if
        :: differs -> goto stopped
        :: else -> end = epoch[e].at[KEY(head)].next
        fi;
sealed:
#if !COMMITS_FIRST
        forget(end);
#endif
        head = end;
        end = 0;
        if
        :: next > head                                  /* the rest of the batch, after an adopted segment */
        :: else ->
fill:
            if
            :: head == N -> goto restart
            :: head < N && kept > head -> goto stopped  /* retention has overtaken the chain */
            :: head < N && kept <= head ->
                if
                :: KEY(head) == N -> goto restart
                :: else -> select(next : KEY(head) + 1 .. N)
                fi
            fi
        fi
       }
    :: goto restart
    od;

stopped:
#ifdef RESUME
    /* The operator may say "resume": end the epoch, name what is lost and what is not ours, open the next. */
    if
    :: atomic { e + 1 < E -> next = 0; end = 0 }
    :: goto restart
    fi;

walk:
    do
    :: atomic {
        /* To the end of the chain; where an object is not of the chain, on to the end of what may be chained to it. */
        head = epoch[e].start;
        end = NOWHERE;
        abandoned = 0;
        do
        :: epoch[e].at[head].kind == segment ->
            compare(e, head, 0);
            end = (differs && end == NOWHERE -> head : end);
            abandoned = abandoned | ((end != NOWHERE) << head);
            if
            :: LEAVES_BRANCH && end != NOWHERE -> goto ended
            :: else -> head = epoch[e].at[head].next
            fi
        :: epoch[e].at[head].kind == junk ->
            end = (end == NOWHERE -> head : end);
            abandoned = abandoned | (1 << head);
            goto ended
        :: epoch[e].at[head].kind == terminal || (epoch[e].at[head].kind == none && OPENS_FIRST) ->
            end = (end == NOWHERE -> head : end);
            goto ended
        :: epoch[e].at[head].kind == none && !OPENS_FIRST ->
            /* Whatever the answer is, it looks again. */
            put(terminal, e, head, head, head, 0, false, created);
            created = false;
            head = 0; end = 0; abandoned = 0;
            break
        od
       }
    :: goto restart
    od;

ended:
    do
    :: atomic {
        head = (kept > end -> kept : end);
        put(opening, e + 1, end, 0, head, abandoned, false, created);
        head = 0;
        created = false
       }
    :: goto restart
    od
#else
    goto restart
#endif
}

/* ---- The world. ---- */

proctype World() {
    byte e;
    bool planted;
end:
    do
#ifdef RETENTION
    :: atomic { kept < N -> kept++ }
#endif
#if COMMITS_FIRST
    :: atomic { hint > 0 -> hint = 0 }                  /* it expires */
#endif
    :: atomic {
        /* A late PUT arrives. */
        late.kind != none ->
        if
        :: !TAKEN(late.kind, late.epoch, late.key) || OVERWRITES ->
            write(late.kind, late.epoch, late.key, late.start, late.next, late.abandoned, late.row)
        :: else
        fi;
        late.kind = none;
        late.epoch = 0; late.key = 0; late.start = 0; late.next = 0; late.abandoned = 0; late.row = 0
       }
#ifdef PLANT
    :: atomic {
        /* Planted at the chain's next key: bytes that mean nothing, or a segment whose last row is invented. */
        !planted && epoch[0].opened ->
        planted = true;
        select(e : 0 .. E - 1);
        x = epoch[e].start;
        for (a : 0 .. N) {
            if
            :: epoch[e].at[a].kind == segment && a == x -> x = epoch[e].at[a].next
            :: else
            fi
        };
        a = x;
        x = 0;
        if
        :: !epoch[e].opened || a == N || epoch[e].at[a].kind != none
        :: epoch[e].opened && a < N && epoch[e].at[a].kind == none -> epoch[e].at[a].kind = junk
        :: epoch[e].opened && a < N && epoch[e].at[a].kind == none ->
            select(b : a + 1 .. N);
            epoch[e].at[a].start = a;
            epoch[e].at[a].next = b;
            epoch[e].at[a].row = true;
            epoch[e].at[a].invented = true;
            epoch[e].at[a].kind = segment;
            b = 0
        fi;
        a = 0;
        e = 0
       }
#endif
#ifdef WITNESS
    /* Not a property: it fails, and so shows that the model gets to where things are hard. */
    :: atomic {
        epoch[E - 1].abandoned != 0 && epoch[E - 1].start > epoch[E - 1].end && epoch[E - 1].at[N - 1].kind == segment ->
        assert(false)
       }
#endif
    od
}

init {
    atomic {
#ifdef VIEWS
        if
        :: shows[0] = true
        :: skip
        fi;
#endif
        run World();
        for (a : 0 .. SEALERS - 1) { run Sealer(a) };
        a = 0
    }
}
