"""What an event says of ours where its words may not leave any more: docs/protocol/events.md, section 4, rule 5. Pure.

It says the same, or less: its codes and times stay, and nothing about the person is left. So it may be kept in clear.
"""

from collections.abc import Mapping

from .lanes import Step
from .values import Json

KEPT = ("kind", "urgency", "terms", "expected", "reason")
"""Members in codes and times."""
NOTHING: Json = {"health": {}}
"""A packet must have a category; this one says nothing of anybody."""
INSTEAD: Mapping[Step, Json] = {
    Step.OFFERED: {"packet": NOTHING},
    Step.ANSWERED: {"answer": "-"},
    Step.DISCLOSED: {"packet": NOTHING},
    Step.RESCHEDULED: {"meeting": {"withheld": ["when", "where", "who"]}},
}
"""What stands for the words of an event that must have some."""


def emptied(step: Step, data: Json) -> Json:
    """Return ``data`` of an event of ours without a word about the person."""
    return {name: data[name] for name in KEPT if name in data} | INSTEAD.get(step, {})
