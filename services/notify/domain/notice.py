"""All that anybody is ever told unasked: an opaque number, an urgency and a link.

Whoever reads over a shoulder, keeps a telephone that was taken away, or runs a mail server learns that something waits,
and nothing about whom it concerns. A :class:`Notice` can hold nothing else: each of its parts is a closed list or is
checked against a shape that has no room for a word. What must never happen: a field of free text is added here.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, assert_never
from uuid import UUID

from shared.contracts.codes import Urgency
from shared.contracts.facts import FactCode
from shared.contracts.ids import public_number
from shared.values import dataclass

_NUMBER: Final = re.compile(r"R-[0-9A-F]{4}-[0-9A-F]{4}")
_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_LINK: Final = re.compile(rf"https?://[^\s/?#@]+(?:/[^\s?#]+)*/(?:referrals|reports|parked)/{_UUID}")


class Matter(StrEnum):
    """Where to look. It says nothing of what happened there."""

    REFERRAL = "referral"
    REPORT = "report"
    PARKED = "parked"
    """A message or a mail that could not be dealt with: an operator must look."""

    @property
    def place(self) -> str:
        """The first part of the path of its link. No page is there yet: whoever is told asks the services' API."""
        match self:
            case Matter.REFERRAL:
                return "referrals"
            case Matter.REPORT:
                return "reports"
            case Matter.PARKED:
                return "parked"
            case _:
                assert_never(self)


_MATTERS: Final[Mapping[str, Matter]] = MappingProxyType(
    {
        "referral": Matter.REFERRAL,
        "receipt": Matter.REFERRAL,
        "report": Matter.REPORT,
        "message": Matter.PARKED,
    }
)
"""By the first part of a fact's code, which says what the fact is about."""


def matter_of(code: FactCode) -> Matter:
    """Return where somebody must look who is told of a fact with this ``code``."""
    return _MATTERS[code.partition(".")[0]]


@dataclass(frozen=True, slots=True)
class Notice:
    """What is put into words: nothing more can be, because the words are made from this alone."""

    number: str
    """Such as ``R-4F7A-91C2``."""
    urgency: Urgency
    link: str
    matter: Matter

    def __post_init__(self) -> None:
        """Refuse what has another shape, without repeating it.

        Raises:
            ValueError: ``notice-says-too-much``.
        """
        if _NUMBER.fullmatch(self.number) is None or _LINK.fullmatch(self.link) is None:
            message = "notice-says-too-much"
            raise ValueError(message)


def notice(subject: UUID, urgency: Urgency, matter: Matter, site: str) -> Notice:
    """Return the notice about ``subject``; ``site`` is the node's own address, with or without a slash at its end."""
    link = f"{site.rstrip('/')}/{matter.place}/{subject}"
    return Notice(public_number(subject), urgency, link, matter)
