"""The questions that the pages ask of the store: which traces, how they hang together, who calls whom, what fails."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from deploy.traces.spans import LinkTo, SpanId, Speaker, TraceId
from deploy.traces.store import Store

NANOSECONDS: Final = 1_000_000_000
WITHIN: Final = {"5m": 300, "1h": 3_600, "1d": 86_400}
"""The stretches of time that a page offers, in seconds."""

LONGEST_PATH: Final = 60
"""How many traces are shown as one path."""


class Filter(BaseModel):
    """Which traces are looked for; what is not said does not matter."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    organisation: Annotated[str, Field(max_length=40)] | None = None
    service: Annotated[str, Field(max_length=64)] | None = None
    name: Annotated[str, Field(max_length=100)] | None = None
    """A part of the name of any span."""
    about: Annotated[str, Field(pattern=r"^[0-9a-f-]{8,64}$")] | None = None
    """A trace id, or the id of a referral, conversation, report or message."""
    shortest: Annotated[float, Field(ge=0, le=1e9)] | None = None
    """Milliseconds."""
    failed: bool | None = None
    within: Literal["5m", "1h", "1d"] | None = None
    before: Annotated[int, Field(ge=0, lt=2**62)] | None = None
    """Only traces that began before this moment, in nanoseconds since 1970: how one turns the page."""
    limit: Annotated[int, Field(ge=1, le=500)] = 50

    @model_validator(mode="before")
    @classmethod
    def _without_empty_fields(cls, asked: Mapping[str, object]) -> dict[str, object]:
        """Leave out what a form sends for a field that was not filled in."""
        return {name: value for name, value in asked.items() if value != ""}


@dataclass(frozen=True, slots=True)
class Summary:
    """A trace in one line."""

    id: TraceId
    started: int
    ended: int
    spans: int
    failed: int
    """How many of its spans failed."""
    root: Speaker
    name: str
    speakers: tuple[Speaker, ...]
    linked: int
    """How many links lead to it or from it."""

    @property
    def duration(self) -> int:
        """From its first beginning to its last end, in nanoseconds."""
        return self.ended - self.started


@dataclass(frozen=True, slots=True)
class LinkFrom:
    """From a span of another trace that goes on from one of this trace."""

    trace: TraceId
    span: SpanId
    at: SpanId
    """The span of this trace."""


@dataclass(frozen=True, slots=True)
class Calls:
    """How often one service goes on from what another did."""

    caller: Speaker
    called: Speaker
    count: int
    failed: int
    by_link: bool
    """Between organisations: a link, because nobody in between may follow the trace."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Spans that failed in the same way."""

    speaker: Speaker
    name: str
    code: str
    error: str
    count: int
    latest: int
    example: TraceId
    span: SpanId


_FIND: Final = """
SELECT t.*,
       (SELECT json_group_array(DISTINCT s.organisation || char(31) || s.service) FROM span s WHERE s.trace = t.id)
       AS speakers,
       (SELECT count(*) FROM link l WHERE l.from_trace = t.id)
       + (SELECT count(*) FROM link l WHERE l.to_trace = t.id) AS linked
  FROM trace t
 WHERE t.started >= :since
   AND (:before IS NULL OR t.started < :before)
   AND (:failed IS NULL OR (t.failed > 0) = :failed)
   AND (:shortest IS NULL OR t.ended - t.started >= :shortest * 1000000)
   AND ((:organisation IS NULL AND :service IS NULL AND :name IS NULL) OR EXISTS (
        SELECT 1 FROM span s
         WHERE s.trace = t.id
           AND (:organisation IS NULL OR s.organisation = :organisation)
           AND (:service IS NULL OR s.service = :service)
           AND (:name IS NULL OR instr(lower(s.name), lower(:name)) > 0)))
   AND (:about IS NULL OR t.id = :about OR t.id IN (SELECT trace FROM subject WHERE id = :about))
 ORDER BY t.started DESC, t.id
 LIMIT :limit
"""

_NEIGHBOURS: Final = """
SELECT to_trace AS trace FROM link WHERE from_trace = :trace
UNION SELECT from_trace FROM link WHERE to_trace = :trace
UNION SELECT b.trace FROM subject a JOIN subject b ON b.id = a.id AND b.joins WHERE a.trace = :trace AND a.joins
"""

_CALLS: Final = """
SELECT p.organisation AS caller_organisation, p.service AS caller, c.organisation, c.service,
       count(*) AS calls, sum(c.failed) AS failed, 0 AS by_link
  FROM span c JOIN span p ON p.trace = c.trace AND p.id = c.parent
 WHERE c.started >= :since AND (p.organisation, p.service) <> (c.organisation, c.service)
 GROUP BY 1, 2, 3, 4
UNION ALL
SELECT p.organisation, p.service, c.organisation, c.service, count(*), sum(c.failed), 1
  FROM link l
  JOIN span c ON c.trace = l.from_trace AND c.id = l.from_span
  JOIN span p ON p.trace = l.to_trace AND p.id = l.to_span
 WHERE c.started >= :since AND (p.organisation, p.service) <> (c.organisation, c.service)
 GROUP BY 1, 2, 3, 4
 ORDER BY 1, 2, 3, 4
"""

_FAILURES: Final = """
SELECT organisation, service, name, coalesce(json_extract(attributes, '$.code'), '') AS code,
       coalesce(json_extract(attributes, '$."error.type"'), '') AS error,
       count(*) AS count, max(started) AS latest, trace, id
  FROM span
 WHERE failed AND started >= :since
   AND NOT EXISTS (SELECT 1 FROM span c WHERE c.trace = span.trace AND c.parent = span.id AND c.failed)
 GROUP BY 1, 2, 3, 4, 5
 ORDER BY latest DESC
 LIMIT 200
"""


def find(store: Store, wanted: Filter, now: float) -> list[Summary]:
    """Return the traces that ``wanted`` describes, the latest first; ``now`` in seconds since 1970."""
    return _summaries(
        store,
        since=_since(wanted.within, now),
        before=wanted.before,
        failed=wanted.failed,
        shortest=wanted.shortest,
        organisation=wanted.organisation,
        service=wanted.service,
        name=wanted.name,
        about=wanted.about,
        limit=wanted.limit,
    )


def summaries(store: Store, traces: Iterable[TraceId]) -> list[Summary]:
    """Return those of ``traces`` that are kept, the earliest first."""
    found = [each for trace in traces for each in _summaries(store, about=trace, limit=1) if each.id == trace]
    return sorted(found, key=lambda each: (each.started, each.id))


def speakers(store: Store) -> list[Speaker]:
    """Return every service that has spoken in the time that is kept."""
    rows = store.select("SELECT organisation, service FROM speaker ORDER BY 1, 2")
    return [Speaker(row["organisation"], row["service"]) for row in rows]


def links_to(store: Store, trace: TraceId) -> list[LinkFrom]:
    """Return the links that lead from other traces to this one: where it goes on."""
    rows = store.select("SELECT * FROM link WHERE to_trace = :trace", trace=trace)
    return [LinkFrom(TraceId(row["from_trace"]), SpanId(row["from_span"]), SpanId(row["to_span"])) for row in rows]


def speaker_of(store: Store, link: LinkTo | LinkFrom) -> Speaker | None:
    """Return who made the span at the other end of a link; ``None`` if another collector has it."""
    rows = store.select(
        "SELECT organisation, service FROM span WHERE trace = :trace AND id = :span", trace=link.trace, span=link.span
    )
    return Speaker(rows[0]["organisation"], rows[0]["service"]) if rows else None


def path(store: Store, trace: TraceId) -> list[TraceId]:
    """Return the traces that hang together with ``trace``, by links or by their referral or conversation.

    It is the first; ids that links name and that are not kept here are among them; ``LONGEST_PATH`` at most.
    """
    found = [trace]
    for each in found:
        for row in store.select(_NEIGHBOURS, trace=each):
            if row["trace"] not in found and len(found) < LONGEST_PATH:
                found.append(TraceId(row["trace"]))  # and its own neighbours are looked for in turn
    return found


def calls(store: Store, within: str | None, now: float) -> list[Calls]:
    """Return who calls whom, and who goes on from whom."""
    return [
        Calls(
            caller=Speaker(row["caller_organisation"], row["caller"]),
            called=Speaker(row["organisation"], row["service"]),
            count=row["calls"],
            failed=row["failed"],
            by_link=bool(row["by_link"]),
        )
        for row in store.select(_CALLS, since=_since(within, now))
    ]


def failures(store: Store, within: str | None, now: float) -> list[Failure]:
    """Return what failed, alike with alike, the latest first; what failed only because a part of it did is left out."""
    return [
        Failure(
            speaker=Speaker(row["organisation"], row["service"]),
            name=row["name"],
            code=str(row["code"]),
            error=str(row["error"]),
            count=row["count"],
            latest=row["latest"],
            example=TraceId(row["trace"]),
            span=SpanId(row["id"]),
        )
        for row in store.select(_FAILURES, since=_since(within, now))
    ]


def _since(within: str | None, now: float) -> int:
    return int((now - WITHIN[within]) * NANOSECONDS) if within else 0


def _summaries(store: Store, **asked: str | float | None) -> list[Summary]:
    nothing = dict.fromkeys(("before", "failed", "shortest", "organisation", "service", "name", "about"))
    return [
        Summary(
            id=TraceId(row["id"]),
            started=row["started"],
            ended=row["ended"],
            spans=row["spans"],
            failed=row["failed"],
            root=Speaker(row["organisation"], row["service"]),
            name=row["name"],
            speakers=tuple(sorted(Speaker(*pair.split("\x1f", 1)) for pair in json.loads(row["speakers"]))),
            linked=row["linked"],
        )
        for row in store.select(_FIND, **{"since": 0, **nothing, **asked})
    ]
