"""A path at a glance: a lane for each service, a bar for each piece of work that came to it, and lines between them.

The lines show what was handed on. Pure: from spans to percentages along time and pixels across.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from deploy.traces.spans import Span, SpanId, Speaker, TraceId
from deploy.traces.waterfall import THINNEST, Axis

LANE: Final = 30
"""The height of a lane, in pixels."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A span with which work came to a service."""

    span: Span
    left: float
    width: float
    top: int
    """The upper edge of its lane, in pixels."""


@dataclass(frozen=True, slots=True)
class Hop:
    """From one lane to another: ``x`` in percent, ``y`` in pixels."""

    x1: float
    y1: float
    x2: float
    y2: float
    by_link: bool


@dataclass(frozen=True, slots=True)
class Lanes:
    """The whole picture."""

    speakers: tuple[Speaker, ...]
    bars: tuple[Bar, ...]
    hops: tuple[Hop, ...]

    @property
    def height(self) -> int:
        """Return the height of all lanes together, in pixels."""
        return LANE * len(self.speakers)


def lanes(spans: Sequence[Span], axis: Axis) -> Lanes:
    """Lay ``spans`` of any number of traces out, organisation by organisation, services by their first work."""
    known = {(span.trace, span.id): span for span in spans}
    speakers = _in_order(spans)
    tops = {speaker: LANE * number for number, speaker in enumerate(speakers)}
    bars: list[Bar] = []
    hops: list[Hop] = []
    for span in spans:
        above = known.get((span.trace, span.parent)) if span.parent else None
        if above is None or above.speaker != span.speaker:
            left = axis.at(span.started)
            width = max(axis.at(span.ended) - left, THINNEST)
            bars.append(Bar(span, round(left, 3), round(width, 3), tops[span.speaker]))
        for before, by_link in _before(span, above, known):
            hops.append(
                Hop(
                    x1=round(axis.at(min(before.ended, span.started)), 3),
                    y1=tops[before.speaker] + LANE / 2,
                    x2=round(axis.at(span.started), 3),
                    y2=tops[span.speaker] + LANE / 2,
                    by_link=by_link,
                )
            )
    return Lanes(speakers, tuple(bars), tuple(hops))


def _in_order(spans: Sequence[Span]) -> tuple[Speaker, ...]:
    """Return the speakers: organisations by their first work, and so the services of each."""
    first: dict[Speaker, int] = {}
    for span in spans:
        first[span.speaker] = min(span.started, first.get(span.speaker, span.started))
    home = {speaker.organisation: began for speaker, began in sorted(first.items(), key=lambda each: -each[1])}
    return tuple(sorted(first, key=lambda speaker: (home[speaker.organisation], first[speaker], speaker)))


def _before(span: Span, above: Span | None, known: dict[tuple[TraceId, SpanId], Span]) -> list[tuple[Span, bool]]:
    """Return the spans of other services that ``span`` goes on from, and whether it says so by a link."""
    linked = [known[link.trace, link.span] for link in span.links if (link.trace, link.span) in known]
    before = [(each, True) for each in linked]
    if above is not None:
        before.append((above, False))
    return [(each, by_link) for each, by_link in before if each.speaker != span.speaker]
