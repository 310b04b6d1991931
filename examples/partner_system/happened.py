"""What the program tells of itself: codes and ids, fit to be shown to anybody; nothing about a person has a way in."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Happened:
    """One thing that happened: the type of an event or a word for it, which referral, and further codes."""

    event: str
    referral: str | None = None
    codes: Mapping[str, str | int] = field(default_factory=dict)
