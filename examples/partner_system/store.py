"""What must survive being killed: one SQLite file in our folder, written before anything is sent or acknowledged.

Nothing personal stands in it in clear: lanes hold codes, ids and times, and messages are kept as they were sealed.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from . import moments
from .files import OWNER_ONLY
from .lanes import Lanes, Said, Side, Step
from .refusal import Refused

TABLES = """
CREATE TABLE IF NOT EXISTS document (organisation TEXT PRIMARY KEY, serial INTEGER NOT NULL, digest BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS referral (
    id TEXT PRIMARY KEY, conversation TEXT NOT NULL, partner TEXT NOT NULL, reference TEXT NOT NULL UNIQUE
);
CREATE TABLE IF NOT EXISTS said (
    referral TEXT NOT NULL, side TEXT NOT NULL, n INTEGER NOT NULL, seen INTEGER NOT NULL, step TEXT NOT NULL,
    id TEXT NOT NULL, at TEXT NOT NULL, codes TEXT NOT NULL, waits INTEGER NOT NULL, PRIMARY KEY (referral, side, n)
);
CREATE TABLE IF NOT EXISTS outgoing (
    id TEXT PRIMARY KEY, recipient TEXT NOT NULL, purpose TEXT NOT NULL, sequence INTEGER NOT NULL,
    envelope BLOB NOT NULL, expires TEXT NOT NULL, referral TEXT, step TEXT NOT NULL,
    event TEXT, emptied BLOB NOT NULL, words INTEGER NOT NULL, until TEXT,
    settled TEXT, receipt TEXT, UNIQUE (recipient, purpose, sequence)
);
CREATE TABLE IF NOT EXISTS incoming (
    source TEXT NOT NULL, id TEXT NOT NULL, purpose TEXT NOT NULL, sequence INTEGER NOT NULL, digest BLOB NOT NULL,
    receipt TEXT, envelope BLOB, refused TEXT, PRIMARY KEY (source, id)
);
CREATE TABLE IF NOT EXISTS aside (digest BLOB PRIMARY KEY, code TEXT NOT NULL, envelope BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS arrival (position INTEGER PRIMARY KEY, salt BLOB NOT NULL, entry BLOB NOT NULL);
"""

ANOTHER = "another"
"""How an envelope ended whose event is in another one."""


@dataclass(frozen=True, slots=True)
class Referral:
    """A referral that we sent; ``reference`` is the number of our own file on it, which nobody else learns."""

    id: str
    conversation: str
    partner: str
    reference: str


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An envelope that we made; ``step`` is the type of the event in it."""

    id: str
    recipient: str
    purpose: str
    sequence: int
    envelope: bytes
    expires: datetime
    referral: str | None
    step: str
    event: str | None = None
    """The id of the event of a referral, which it keeps in every envelope."""
    emptied: bytes = b""
    """The event without a word about the person, in JSON."""
    words: bool = False
    """Whether words about the person are in the envelope."""
    until: datetime | None = None
    """When the person's consent to these words ends."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """An envelope that passed the door."""

    source: str
    id: str
    purpose: str
    sequence: int
    digest: bytes
    receipt: str | None
    """The envelope in which our receipt for it travels."""


class Store:
    """The file. Whatever belongs together is written in one `transaction`."""

    def __init__(self, path: Path) -> None:
        path.touch(OWNER_ONLY)
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.executescript(TABLES)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep everything that is written inside, or nothing of it."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def accept_document(self, organisation: str, serial: int, digest: bytes) -> None:
        """Remember which key document we have seen; raise ``document-superseded`` where we knew a later one."""
        known = self._one("SELECT serial, digest FROM document WHERE organisation = ?", organisation)
        if known and (known[0] > serial or (known[0] == serial and known[1] != digest)):
            raise Refused("document-superseded")
        self._database.execute("INSERT OR REPLACE INTO document VALUES (?, ?, ?)", (organisation, serial, digest))

    def add_referral(self, referral: Referral) -> None:
        """Keep a new referral."""
        row = (referral.id, referral.conversation, referral.partner, referral.reference)
        self._database.execute("INSERT INTO referral VALUES (?, ?, ?, ?)", row)

    def referral(self, referral: str) -> Referral | None:
        """Return a referral by its id."""
        row = self._one("SELECT * FROM referral WHERE id = ?", referral)
        return Referral(*row) if row else None

    def offered(self, reference: str) -> Referral | None:
        """Return the referral that our file with this number was offered in."""
        row = self._one("SELECT * FROM referral WHERE reference = ?", reference)
        return Referral(*row) if row else None

    def lanes(self, referral: str) -> Lanes:
        """Return both lanes of a referral."""
        sql = "SELECT side, waits, step, id, at, n, seen, codes FROM said WHERE referral = ? ORDER BY n"
        ours: list[Said] = []
        theirs: list[Said] = []
        waiting: list[Said] = []
        for side, waits, step, event, at, n, seen, codes in self._database.execute(sql, (referral,)):
            said = Said(Step(step), event, datetime.fromisoformat(at), n, seen, tuple(json.loads(codes)))
            (ours if side == Side.SENDER else waiting if waits else theirs).append(said)
        return Lanes(tuple(ours), tuple(theirs), tuple(waiting))

    def keep_lanes(self, referral: str, lanes: Lanes) -> None:
        """Write both lanes of a referral."""
        self._database.execute("DELETE FROM said WHERE referral = ?", (referral,))
        rows = [
            (
                referral,
                said.side,
                said.n,
                said.seen,
                said.step,
                said.id,
                said.at.isoformat(),
                json.dumps(said.codes),
                waits,
            )
            for waits, lane in ((False, lanes.ours + lanes.theirs), (True, lanes.waiting))
            for said in lane
        ]
        self._database.executemany("INSERT INTO said VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def next_sequence(self, recipient: str, purpose: str) -> int:
        """Return the number of the next envelope to a partner under keys of a purpose."""
        sql = "SELECT coalesce(max(sequence), 0) + 1 FROM outgoing WHERE recipient = ? AND purpose = ?"
        row = self._one(sql, recipient, purpose)
        return int(row[0]) if row else 1

    def add_outgoing(self, made: Outgoing) -> None:
        """Keep an envelope that is to be sent."""
        row = (made.id, made.recipient, made.purpose, made.sequence, made.envelope, moments.written(made.expires))
        about = (made.referral, made.step, made.event, made.emptied, made.words)
        until = moments.written(made.until) if made.until else None
        sql = "INSERT INTO outgoing VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)"
        self._database.execute(sql, (*row, *about, until))

    def outgoing(self, message: str) -> Outgoing | None:
        """Return an envelope that we made."""
        row = self._one("SELECT * FROM outgoing WHERE id = ?", message)
        return _outgoing(row) if row else None

    def unsettled(self) -> list[Outgoing]:
        """Return what must still be sent, or sent again, in the order in which it was made."""
        rows = self._database.execute("SELECT * FROM outgoing WHERE settled IS NULL ORDER BY rowid")
        return [_outgoing(row) for row in rows]

    def settle(self, message: str, how: str | None, receipt: str | None = None) -> None:
        """Write how an envelope ended; None sends it again.

        It is ``receipt`` with the note, ``sent``, `ANOTHER`, or a code.
        """
        sql = "UPDATE outgoing SET settled = ?, receipt = coalesce(?, receipt) WHERE id = ?"
        self._database.execute(sql, (how, receipt, message))

    def settle_event(self, event: str) -> None:
        """Write that nothing more of an event is to be sent: one of its envelopes is proved."""
        sql = "UPDATE outgoing SET settled = ? WHERE event = ? AND settled IS NULL"
        self._database.execute(sql, (ANOTHER, event))

    def has_receipt(self, message: str) -> bool:
        """Tell whether the partner has proved that it has an envelope."""
        return self._one("SELECT 1 FROM outgoing WHERE id = ? AND receipt IS NOT NULL", message) is not None

    def has_offer_receipt(self, referral: str) -> bool:
        """Tell whether the partner has proved that it has the offer of a referral."""
        sql = "SELECT 1 FROM outgoing WHERE referral = ? AND step = ? AND receipt IS NOT NULL"
        return self._one(sql, referral, Step.OFFERED) is not None

    def was_rejected(self, referral: str) -> bool:
        """Tell whether the partner will not take something that we said in a referral."""
        sql = "SELECT 1 FROM outgoing WHERE referral = ? AND settled <> ? AND receipt IS NULL"
        return self._one(sql, referral, ANOTHER) is not None

    def add_incoming(self, taken: Incoming, envelope: bytes) -> None:
        """Keep an envelope that passed the door."""
        row = (taken.source, taken.id, taken.purpose, taken.sequence, taken.digest, taken.receipt, envelope)
        self._database.execute("INSERT INTO incoming VALUES (?, ?, ?, ?, ?, ?, ?, NULL)", row)

    def note_refusal(self, taken: Incoming, code: str) -> None:
        """Write why an envelope that passed the door had no effect."""
        sql = "UPDATE incoming SET refused = ? WHERE source = ? AND id = ?"
        self._database.execute(sql, (code, taken.source, taken.id))

    def drop_envelope(self, source: str, message: str) -> None:
        """Keep no more of an envelope than that it came."""
        self._database.execute("UPDATE incoming SET envelope = NULL WHERE source = ? AND id = ?", (source, message))

    def incoming(self, source: str, message: str) -> Incoming | None:
        """Return an envelope that came before."""
        sql = "SELECT source, id, purpose, sequence, digest, receipt FROM incoming WHERE source = ? AND id = ?"
        row = self._one(sql, source, message)
        return Incoming(*row) if row else None

    def last_sequence(self, source: str, purpose: str) -> int:
        """Return the highest number that has come from a partner under keys of a purpose."""
        sql = "SELECT coalesce(max(sequence), 0) FROM incoming WHERE source = ? AND purpose = ?"
        row = self._one(sql, source, purpose)
        return int(row[0]) if row else 0

    def set_aside(self, digest: bytes, code: str, envelope: bytes) -> None:
        """Keep what was refused at the door."""
        self._database.execute("INSERT OR IGNORE INTO aside VALUES (?, ?, ?)", (digest, code, envelope))

    def add_arrival(self, salt: bytes, entry: bytes) -> None:
        """Put the entry of an arrival into our log."""
        self._database.execute("INSERT INTO arrival (salt, entry) VALUES (?, ?)", (salt, entry))

    def _one(self, sql: str, *values: str) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._database.execute(sql, values).fetchone()
        return row


def _outgoing(row: tuple[Any, ...]) -> Outgoing:
    made, recipient, purpose, sequence, envelope, expires, referral, step, event, emptied, words, until, *_ = row
    return Outgoing(
        made,
        recipient,
        purpose,
        sequence,
        envelope,
        moments.read(expires),
        referral,
        step,
        event,
        emptied,
        bool(words),
        moments.read(until) if until else None,
    )
