"""Draws who calls whom: a box for each organisation, its services inside, arrows between them.

Pure: numbers for an SVG. Services stand under one another in the order that a message takes through a node; what goes
from one organisation to another goes between the boxes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from deploy.traces.reading import Calls
from deploy.traces.spans import Speaker
from shared.contracts.services import Service

NODE_WIDTH: Final = 132
NODE_HEIGHT: Final = 40
ROW: Final = 96
PADDING: Final = 44
BETWEEN: Final = 150
TITLE: Final = 34
APART: Final = 11
"""How far apart the two arrows between a pair stand."""

_ORDER: Final = tuple(Service)


@dataclass(frozen=True, slots=True)
class Node:
    """A service; ``x`` and ``y`` are its upper left corner."""

    speaker: Speaker
    x: float
    y: float

    @property
    def middle(self) -> tuple[float, float]:
        """Return its centre."""
        return self.x + NODE_WIDTH / 2, self.y + NODE_HEIGHT / 2


@dataclass(frozen=True, slots=True)
class Box:
    """An organisation."""

    organisation: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Arrow:
    """From caller to called: the ``d`` of an SVG path, and where its count stands."""

    calls: Calls
    d: str
    label_x: float
    label_y: float


@dataclass(frozen=True, slots=True)
class Drawing:
    """Everything, and how large it is."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    nodes: tuple[Node, ...]
    arrows: tuple[Arrow, ...]


def draw(speakers: Iterable[Speaker], calls: Sequence[Calls]) -> Drawing:
    """Lay out all ``speakers`` and all ``calls`` between them."""
    homes: dict[str, list[Speaker]] = {}
    for speaker in sorted(set(speakers) | {end for each in calls for end in (each.caller, each.called)}, key=_order):
        homes.setdefault(speaker.organisation, []).append(speaker)
    tallest = max((len(home) for home in homes.values()), default=0)
    height = TITLE + (tallest - 1) * ROW + NODE_HEIGHT + 2 * PADDING
    boxes, nodes = [], []
    for column, (organisation, home) in enumerate(homes.items()):
        x = column * (NODE_WIDTH + 2 * PADDING + BETWEEN)
        boxes.append(Box(organisation, x, 0, NODE_WIDTH + 2 * PADDING, height))
        nodes += [Node(speaker, x + PADDING, TITLE + PADDING + row * ROW) for row, speaker in enumerate(home)]
    places = {node.speaker: node for node in nodes}
    arrows = [_arrow(each, places[each.caller], places[each.called]) for each in calls]
    width = boxes[-1].x + boxes[-1].width if boxes else 0
    return Drawing(width, height, tuple(boxes), tuple(nodes), tuple(arrows))


def _order(speaker: Speaker) -> tuple[str, int, str]:
    known = _ORDER.index(speaker.service) if speaker.service in _ORDER else len(_ORDER)
    return speaker.organisation, known, speaker.service


def _arrow(calls: Calls, start: Node, end: Node) -> Arrow:
    if start.x != end.x:
        return _across(calls, start, end)
    rows_apart = round((end.y - start.y) / ROW)
    if abs(rows_apart) == 1:
        return _straight(calls, start, end, rows_apart)
    return _around(calls, start, end, rows_apart)


def _straight(calls: Calls, start: Node, end: Node, way: int) -> Arrow:
    """Down on the left of the middle, up on its right."""
    x = start.middle[0] - way * APART
    y1 = start.y + (NODE_HEIGHT if way > 0 else 0)
    y2 = end.y + (0 if way > 0 else NODE_HEIGHT)
    return Arrow(calls, f"M{x:g} {y1:g}V{y2:g}", x - way * APART, (y1 + y2) / 2)


def _around(calls: Calls, start: Node, end: Node, way: int) -> Arrow:
    """Past the services between: down on the left, up on the right."""
    side = -1 if way > 0 else 1
    x = start.middle[0] + side * NODE_WIDTH / 2
    bend = x + side * PADDING * 0.8
    y1, y2 = start.middle[1], end.middle[1]
    return Arrow(calls, f"M{x:g} {y1:g}C{bend:g} {y1:g} {bend:g} {y2:g} {x:g} {y2:g}", bend, (y1 + y2) / 2)


def _across(calls: Calls, start: Node, end: Node) -> Arrow:
    """From side to side, the way there above the way back."""
    way = 1 if end.x > start.x else -1
    x1 = start.x + (NODE_WIDTH if way > 0 else 0)
    x2 = end.x + (0 if way > 0 else NODE_WIDTH)
    y1, y2 = start.middle[1] - way * APART, end.middle[1] - way * APART
    middle = (x1 + x2) / 2
    # A quarter from the beginning, where arrows that cross in the middle are still apart.
    label_x, label_y = x1 + (x2 - x1) * 0.3, y1 + (y2 - y1) * 0.216
    return Arrow(calls, f"M{x1:g} {y1:g}C{middle:g} {y1:g} {middle:g} {y2:g} {x2:g} {y2:g}", label_x, label_y)
