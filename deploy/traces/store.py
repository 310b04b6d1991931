"""Keeps spans in one SQLite file, and no more of them than it was told: the oldest traces make room for new ones.

What must never happen: the file grows without bound, or a span that comes twice (an exporter sends again what it is not
sure of) is kept twice. What is lost with the file is telemetry alone, so that it is written without waiting for the
disk.
"""

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Lock
from typing import Final

from deploy.traces.spans import Event, LinkTo, Span, SpanId, SpanKind, Speaker, TraceId
from shared.clock import Clock
from shared.files import SECRET_MODE

MOST_SPANS: Final = 200_000
LONGEST: Final = timedelta(days=7)

SUBJECTS: Final = {
    "referral_id": True,
    "conversation_id": True,
    "report_id": False,
    "message_id": False,
    "subject": False,
}
"""The attributes that a trace can be found by; ``True`` for those that make several traces one path."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS span (
    trace TEXT NOT NULL, id TEXT NOT NULL, parent TEXT, organisation TEXT NOT NULL, service TEXT NOT NULL,
    name TEXT NOT NULL, kind TEXT NOT NULL, started INTEGER NOT NULL, ended INTEGER NOT NULL, failed INTEGER NOT NULL,
    attributes TEXT NOT NULL, events TEXT NOT NULL, PRIMARY KEY (trace, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS span_failed ON span (started) WHERE failed;
CREATE INDEX IF NOT EXISTS span_started ON span (started);
CREATE TABLE IF NOT EXISTS link (
    from_trace TEXT NOT NULL, from_span TEXT NOT NULL, to_trace TEXT NOT NULL, to_span TEXT NOT NULL,
    PRIMARY KEY (from_trace, from_span, to_trace, to_span)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS link_to ON link (to_trace, to_span);
CREATE TABLE IF NOT EXISTS subject (
    id TEXT NOT NULL, trace TEXT NOT NULL, joins INTEGER NOT NULL, PRIMARY KEY (id, trace)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS subject_trace ON subject (trace);
CREATE TABLE IF NOT EXISTS speaker (
    organisation TEXT NOT NULL, service TEXT NOT NULL, received REAL NOT NULL,
    PRIMARY KEY (organisation, service)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS trace (
    id TEXT PRIMARY KEY, received REAL NOT NULL, started INTEGER NOT NULL, ended INTEGER NOT NULL,
    spans INTEGER NOT NULL, failed INTEGER NOT NULL, organisation TEXT NOT NULL, service TEXT NOT NULL,
    name TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS trace_started ON trace (started);
CREATE INDEX IF NOT EXISTS trace_received ON trace (received);
"""

_ADD_SPAN: Final = "INSERT OR IGNORE INTO span VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"
_ADD_LINK: Final = "INSERT OR IGNORE INTO link VALUES (?,?,?,?)"
_ADD_SUBJECT: Final = "INSERT INTO subject VALUES (?,?,?) ON CONFLICT DO UPDATE SET joins = max(joins, excluded.joins)"
_ADD_SPEAKER: Final = "INSERT OR REPLACE INTO speaker VALUES (?,?,?)"
_SUM_UP: Final = """
INSERT OR REPLACE INTO trace
SELECT s.trace, :received, min(s.started), max(s.ended), count(*), sum(s.failed), r.organisation, r.service, r.name
  FROM span s, (SELECT organisation, service, name FROM span WHERE trace = :trace
                 ORDER BY parent IS NOT NULL, started LIMIT 1) r
 WHERE s.trace = :trace
"""
_FORGET: Final = (
    "DELETE FROM span WHERE trace = ?",
    "DELETE FROM link WHERE from_trace = ?",
    "DELETE FROM subject WHERE trace = ?",
    "DELETE FROM trace WHERE id = ?",
)


def _make_private(file: Path) -> None:
    """Take ``file`` from others before anything is in it; SQLite gives its own files beside it the same mode."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, SECRET_MODE)
    try:
        os.fchmod(descriptor, SECRET_MODE)
    finally:
        os.close(descriptor)


class Store:
    """The spans of the last days. Safe to use from many threads: one of them works at a time."""

    def __init__(
        self,
        file: Path,
        *,
        most_spans: int = MOST_SPANS,
        longest: timedelta = LONGEST,
        clock: Clock | None = None,
    ) -> None:
        """Open ``file``, which is made if it is not there, for our own user alone.

        At most ``most_spans`` are kept, and none that came more than ``longest`` ago.
        """
        self._lock = Lock()
        self._most_spans = most_spans
        self._longest = longest.total_seconds()
        self._clock = clock or Clock()
        _make_private(file)
        self._db = sqlite3.connect(file, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        for pragma in ("auto_vacuum = INCREMENTAL", "journal_mode = WAL", "synchronous = OFF"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_SCHEMA)
        self._spans = int(self._db.execute("SELECT count(*) FROM span").fetchone()[0])

    def add(self, spans: Sequence[Span]) -> None:
        """Keep ``spans`` and let go of what is too old or too much."""
        if not spans:
            return
        received = self._clock.now().timestamp()
        with self._writing() as db:
            self._spans += db.executemany(_ADD_SPAN, map(_row, spans)).rowcount
            db.executemany(_ADD_LINK, ((s.trace, s.id, to.trace, to.span) for s in spans for to in s.links))
            db.executemany(_ADD_SUBJECT, _subjects(spans))
            db.executemany(
                _ADD_SPEAKER, [(each.organisation, each.service, received) for each in {span.speaker for span in spans}]
            )
            for trace in {span.trace for span in spans}:
                db.execute(_SUM_UP, {"trace": trace, "received": received})
            self._make_room(db, received)

    def expire(self) -> None:
        """Let go of what is too old, also when nothing new comes."""
        with self._writing() as db:
            self._make_room(db, self._clock.now().timestamp())

    def select(self, statement: str, /, **values: str | float | None) -> list[sqlite3.Row]:
        """Run one SELECT with named values."""
        with self._lock:
            return self._db.execute(statement, values).fetchall()

    def trace(self, trace: TraceId) -> list[Span]:
        """Return all spans of a trace, by their beginning; none if it is not kept."""
        links: dict[str, list[LinkTo]] = {}
        for row in self.select("SELECT * FROM link WHERE from_trace = :trace", trace=trace):
            links.setdefault(row["from_span"], []).append(LinkTo(TraceId(row["to_trace"]), SpanId(row["to_span"])))
        rows = self.select("SELECT * FROM span WHERE trace = :trace ORDER BY started, id", trace=trace)
        return [_span(row, tuple(links.get(row["id"], ()))) for row in rows]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._db:
            yield self._db

    def _make_room(self, db: sqlite3.Connection, now: float) -> None:
        """Forget traces that are too old; when there are too many spans, the oldest traces until a tenth is free."""
        oldest = db.execute("SELECT id, spans, received FROM trace ORDER BY received, started")
        enough = self._most_spans if self._spans <= self._most_spans else self._most_spans * 9 // 10
        db.execute("DELETE FROM speaker WHERE received < ?", (now - self._longest,))
        gone = []
        for row in oldest:
            if row["received"] >= now - self._longest and self._spans <= enough:
                break
            self._spans -= row["spans"]
            gone.append((row["id"],))
        oldest.close()
        for statement in _FORGET if gone else ():
            db.executemany(statement, gone)
        if gone:
            db.execute("PRAGMA incremental_vacuum").fetchall()


def _row(span: Span) -> tuple[object, ...]:
    return (
        span.trace,
        span.id,
        span.parent,
        span.speaker.organisation,
        span.speaker.service,
        span.name,
        span.kind.value,
        span.started,
        span.ended,
        span.failed,
        json.dumps(dict(span.attributes)),
        json.dumps([[event.name, event.at, dict(event.attributes)] for event in span.events]),
    )


def _span(row: sqlite3.Row, links: tuple[LinkTo, ...]) -> Span:
    return Span(
        trace=TraceId(row["trace"]),
        id=SpanId(row["id"]),
        parent=SpanId(row["parent"]) if row["parent"] else None,
        speaker=Speaker(row["organisation"], row["service"]),
        name=row["name"],
        kind=SpanKind(row["kind"]),
        started=row["started"],
        ended=row["ended"],
        failed=bool(row["failed"]),
        attributes=json.loads(row["attributes"]),
        events=tuple(Event(name, at, attributes) for name, at, attributes in json.loads(row["events"])),
        links=links,
    )


def _subjects(spans: Sequence[Span]) -> Iterator[tuple[str, str, bool]]:
    for span in spans:
        for key, joins in SUBJECTS.items():
            value = span.attributes.get(key)
            if isinstance(value, str):
                yield value, span.trace, joins
