"""Our own file on a person, as far as a referral needs it: what is offered, what is answered, what is disclosed.

The bodies are those of docs/protocol/events.md, section 6. The file is personal from end to end: it is read, sealed to
one partner, and neither shown nor copied.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from . import moments
from .event_data import moment
from .lanes import Lanes, Said, State, Step
from .refusal import Refused
from .values import Json, items, members, number, text

WHAT_FOLLOWS = {State.ASKED: Step.ANSWERED, State.ACCEPTED: Step.DISCLOSED, State.MISSED: Step.RESCHEDULED}
"""What a sender says next, by where the referral stands."""


@dataclass(frozen=True, slots=True)
class ReferralFile:
    """What was prepared for one referral."""

    reference: str
    """The number of the file with us. It is not sent."""
    offer: Json
    prepared: dict[Step, tuple[Json, ...]]
    """For each thing that we may have to say later, what to say the first time, the second, and so on."""
    consent_days: int | None
    """For how many days from the offer the person lets the receiver have what is sent."""

    def __repr__(self) -> str:
        """Show nothing of it."""
        return "ReferralFile()"

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file; raise ``referral-file-malformed`` where it is none."""
        try:
            return cls.stated(members(json.loads(path.read_bytes())))
        except (OSError, TypeError, ValueError):
            raise Refused("referral-file-malformed") from None

    @classmethod
    def stated(cls, stated: Json) -> Self:
        """Return the file that an object states; raise ``referral-file-malformed`` where something is missing."""
        try:
            days = stated.get("consent_days")
            return cls(
                text(stated["reference"]),
                members(stated["offer"]),
                {
                    Step.ANSWERED: tuple(members(item) for item in items(stated.get("answers", []))),
                    Step.DISCLOSED: (members(stated["disclosure"]),),
                    Step.RESCHEDULED: tuple(members(item) for item in items(stated.get("reschedules", []))),
                },
                None if days is None else number(days),
            )
        except (KeyError, TypeError):
            raise Refused("referral-file-malformed") from None

    def kind(self) -> str:
        """Return which kind of referral it is."""
        return text(self.offer["kind"])

    def next_step(self, lanes: Lanes) -> tuple[Step, Json] | None:
        """Return what was prepared for where the referral stands; None where nothing was, or nothing is to be said."""
        step = WHAT_FOLLOWS.get(lanes.standing().state)
        if step is None:
            return None
        said_before = sum(said.step is step for said in lanes.ours)
        prepared = self.prepared[step]
        return (step, prepared[said_before]) if said_before < len(prepared) else None

    def said(self, lanes: Lanes, said: Said) -> Json:
        """Return what was prepared for an event of ours that was said."""
        if said.step is Step.OFFERED:
            return self.offer
        return self.prepared[said.step][sum(one.step is said.step for one in lanes.ours[: said.n - 1])]

    def until(self, data: Json, at: datetime) -> datetime | None:
        """Return when the person's consent to ``data`` ends: it has the terms of the offer, and perhaps its own.

        Raises:
            Refused: ``referral-file-malformed``.
        """
        try:
            terms = [members(self.with_terms(each, at).get("terms", {})) for each in (self.offer, data)]
            return min((moment(each["until"]) for each in terms if "until" in each), default=None)
        except (TypeError, ValueError):
            raise Refused("referral-file-malformed") from None

    def with_terms(self, data: Json, at: datetime) -> Json:
        """Return ``data`` with the end of the person's consent, where it has terms and they have no end yet."""
        terms = data.get("terms")
        if self.consent_days is None or not isinstance(terms, dict) or "until" in terms:
            return data
        until = moments.written(at + timedelta(days=self.consent_days))
        return {**data, "terms": {**terms, "until": until}}
