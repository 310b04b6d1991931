"""What can become of an envelope on its way, whichever way it goes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The broker has it. Only a receipt says that the partner has it."""


@dataclass(frozen=True, slots=True)
class Receipted:
    """The partner's intake has it, and answered with a receipt."""

    note: str


@dataclass(frozen=True, slots=True)
class Taken:
    """The partner's intake has it. It was a receipt itself, and gets none."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The partner's intake will never take it."""

    code: str


@dataclass(frozen=True, slots=True)
class Later:
    """Not now: the same bytes go again, after so many seconds."""

    code: str
    seconds: float


Outcome = Confirmed | Receipted | Taken | Rejected | Later
