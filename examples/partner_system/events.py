"""What stands inside an envelope: docs/protocol/events.md. Read strictly, and written with what we have to say.

Of what a receiver says, every member is checked; what it means for the referral is `lanes`' business. What is personal
in it never leaves this program: lanes, output and errors have no room for it.
"""

import json
import re
from dataclasses import dataclass
from datetime import datetime

from .event_data import DATA, moment, only, uuid4, without_nothing
from .lanes import Said, Step
from .refusal import Refused
from .values import Json, members, number, text

RECEIPT_GIVEN = "receipt.given.v1"
LONGEST_LANE = 1000
LONGEST_NOTE = 8000
TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

HEARS = tuple(sorted({*DATA, RECEIPT_GIVEN}))
"""What we hear, as our key document says: what a receiver says, and receipts. We receive nobody."""

CODES = ("reason", "by", "to", "code", "outcome")


@dataclass(frozen=True, slots=True)
class ReferralEvent:
    """An event of a referral. ``data`` is personal: it is never shown."""

    said: Said
    conversation: str
    referral: str
    data: Json

    def __repr__(self) -> str:
        """Show the step alone."""
        return f"ReferralEvent({self.said.step})"

    def written(self) -> bytes:
        """Return the event in JSON."""
        stated = {
            "type": self.said.step,
            "id": self.said.id,
            "at": self.said.at.isoformat(),
            "conversation": self.conversation,
            "referral": self.referral,
            "n": self.said.n,
            "seen": self.said.seen,
            "data": self.data,
        }
        return json.dumps(stated, ensure_ascii=False, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class ReceiptGiven:
    """The receipt for a message of ours, or of theirs."""

    id: str
    at: datetime
    message: str
    note: str

    def written(self) -> bytes:
        """Return the event in JSON."""
        data = {"message": self.message, "note": self.note}
        stated = {"type": RECEIPT_GIVEN, "id": self.id, "at": self.at.isoformat(), "data": data}
        return json.dumps(stated, ensure_ascii=False, separators=(",", ":")).encode()


def read(body: bytes) -> ReferralEvent | ReceiptGiven:
    """Read an event that a receiver or its intake says.

    Raises:
        Refused: ``event-type-unknown``; ``event-unreadable``; ``not-said-by-this-side`` for what a sender says.
    """
    try:
        stated = without_nothing(members(json.loads(body.decode())))
        kind = text(stated["type"])
    except (KeyError, TypeError, ValueError, RecursionError):
        raise Refused("event-unreadable") from None
    if kind != RECEIPT_GIVEN and kind not in set(Step):
        raise Refused("event-type-unknown")
    if kind in set(Step) and Step(kind) not in DATA:
        raise Refused("not-said-by-this-side")
    try:
        return _receipt(stated) if kind == RECEIPT_GIVEN else _referral_event(stated, Step(kind))
    except (KeyError, TypeError, ValueError):
        raise Refused("event-unreadable") from None


def _receipt(stated: Json) -> ReceiptGiven:
    only(stated, {"type", "id", "at", "data"}, {"traceparent"})
    data = without_nothing(members(stated["data"]))
    only(data, {"message", "note"}, set())
    note = text(data["note"])
    if not 1 <= len(note) <= LONGEST_NOTE:
        raise ValueError
    _traceparent(stated)
    return ReceiptGiven(uuid4(stated["id"]), moment(stated["at"]), uuid4(data["message"]), note)


def _referral_event(stated: Json, step: Step) -> ReferralEvent:
    only(stated, {"type", "id", "at", "conversation", "referral", "n", "seen", "data"}, {"traceparent"})
    _traceparent(stated)
    data = without_nothing(members(stated["data"]))
    DATA[step](data)
    n, seen = number(stated["n"]), number(stated["seen"])
    if not 1 <= n <= LONGEST_LANE or not 0 <= seen <= LONGEST_LANE:
        raise ValueError
    codes = [text(data[name]) if name in data else "" for name in CODES]
    expected = moment(data["expected"]).isoformat() if "expected" in data else ""
    said = Said(step, uuid4(stated["id"]), moment(stated["at"]), n, seen, (*codes, expected))
    return ReferralEvent(said, uuid4(stated["conversation"]), uuid4(stated["referral"]), data)


def _traceparent(stated: Json) -> None:
    if "traceparent" in stated and not TRACEPARENT.fullmatch(text(stated["traceparent"])):
        raise ValueError
