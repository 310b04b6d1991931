"""Lays spans out under one another and along time. Pure: from spans to rows with percentages.

One trace is laid out on a plain axis. A path of many traces, with hours between the people who act, is laid out on
one that leaves out the idle stretches, and says where and how long they were.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from deploy.traces.spans import Span, SpanId

THINNEST: Final = 0.15
"""A bar is never thinner, in percent, so that it can be seen."""

DEEPEST: Final = 12
"""Deeper spans are indented no further."""

IDLE_SHARE: Final = 0.25
"""A stretch in which nothing runs is left out when it is longer than this share of all that runs, and than ``IDLE``."""

IDLE: Final = 50_000_000
IDLE_WIDTH: Final = 3.0
IDLE_WIDTHS: Final = 40.0
"""What one stretch that is left out takes of the axis, and what all of them may take, in percent."""

TICKS: Final = (0.0, 25.0, 50.0, 75.0, 100.0)


@dataclass(frozen=True, slots=True)
class Gap:
    """An idle stretch that was left out: where it stands in percent, and how long it was in nanoseconds."""

    left: float
    width: float
    duration: int


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the axis: from ``began`` to ``ended`` in nanoseconds, drawn from ``left`` over ``width`` percent."""

    began: int
    ended: int
    left: float
    width: float

    def at(self, moment: int) -> float:
        """Return where ``moment`` stands, held inside the piece."""
        length = self.ended - self.began
        share = (moment - self.began) / length if length else 0.0
        return self.left + self.width * min(max(share, 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class Axis:
    """Time from left to right, in percent."""

    began: int
    ended: int
    pieces: tuple[Piece, ...]
    gaps: tuple[Gap, ...] = ()

    @classmethod
    def plain(cls, spans: Sequence[Span]) -> "Axis":
        """Return the axis from the first beginning to the last end."""
        began, ended = min(span.started for span in spans), max(span.ended for span in spans)
        return cls(began, ended, (Piece(began, ended, 0.0, 100.0),))

    @classmethod
    def folded(cls, spans: Sequence[Span]) -> "Axis":
        """Return the axis without its idle stretches."""
        busy = _busy(spans)
        running = sum(ended - began for began, ended in busy)
        longest = max(IDLE, int(running * IDLE_SHARE))
        stretches = _joined(busy, longest)
        idle = len(stretches) - 1
        idle_width = min(IDLE_WIDTH, IDLE_WIDTHS / idle) if idle else 0.0
        drawn = max(sum(ended - began for began, ended in stretches), 1)
        scale = (100.0 - idle * idle_width) / drawn
        pieces: list[Piece] = []
        gaps: list[Gap] = []
        left = 0.0
        for began, ended in stretches:
            if pieces:
                gaps.append(Gap(left, idle_width, began - pieces[-1].ended))
                left += idle_width
            width = (ended - began) * scale
            pieces.append(Piece(began, ended, left, width))
            left += width
        return cls(stretches[0][0], stretches[-1][1], tuple(pieces), tuple(gaps))

    def at(self, moment: int) -> float:
        """Return where ``moment`` stands."""
        piece = next((each for each in self.pieces if moment <= each.ended), self.pieces[-1])
        return piece.at(moment)

    def ticks(self) -> list[tuple[float, int]]:
        """Return the marks of a plain axis: where they stand, and how long after the beginning."""
        return [(tick, int((self.ended - self.began) * tick / 100)) for tick in TICKS]


@dataclass(frozen=True, slots=True)
class Row:
    """One span, laid out."""

    span: Span
    depth: int
    left: float
    width: float
    marks: tuple[float, ...]
    """Where its events stand."""
    children: int


def rows(spans: Sequence[Span], axis: Axis) -> list[Row]:
    """Return one row a span: every parent before its children, sisters by their beginning.

    Spans whose parent is not there, or whose parents go round in a circle, stand at the top.
    """
    known = {span.id for span in spans}
    children: dict[SpanId | None, list[Span]] = {}
    for span in sorted(spans, key=lambda each: (each.started, each.id)):
        children.setdefault(span.parent if span.parent in known else None, []).append(span)
    laid: list[Row] = []
    seen: set[SpanId] = set()
    for top in [*children.get(None, ()), *spans]:
        waiting = [(top, 0)]
        while waiting:
            span, depth = waiting.pop()
            if span.id in seen:
                continue
            seen.add(span.id)
            below = children.get(span.id, [])
            laid.append(_row(span, depth, axis, len(below)))
            waiting.extend((child, depth + 1) for child in reversed(below))
    return laid


def _row(span: Span, depth: int, axis: Axis, children: int) -> Row:
    left = axis.at(span.started)
    width = max(axis.at(span.ended) - left, THINNEST)
    return Row(
        span=span,
        depth=min(depth, DEEPEST),
        left=round(min(left, 100.0 - THINNEST), 3),
        width=round(width, 3),
        marks=tuple(round(axis.at(event.at), 3) for event in span.events),
        children=children,
    )


def _busy(spans: Iterable[Span]) -> list[tuple[int, int]]:
    """Return the stretches in which any span runs, in order and apart from one another."""
    return _joined(sorted((span.started, span.ended) for span in spans), 0)


def _joined(stretches: Sequence[tuple[int, int]], within: int) -> list[tuple[int, int]]:
    """Join stretches that are no further apart than ``within``."""
    joined = [stretches[0]]
    for began, ended in stretches[1:]:
        last_began, last_ended = joined[-1]
        if began - last_ended <= within:
            joined[-1] = (last_began, max(last_ended, ended))
        else:
            joined.append((began, ended))
    return joined
