"""The rules of the door: which verified message is let in, and what is then said.

Whoever comes here has been heard: the envelope has its one form, and its signature holds under a key that the sender
has published. What is left to decide is whether this sender may speak to us now, and whether we could open it. The
times of the sender's key, of our own and of the agreement come with the message, so that nothing here has to ask.

What a message says is sealed, so that the door cannot tell what concludes something from what begins it: it lets in
whoever has an agreement with us that is to come, in force, or ended some weeks ago, and the desk judges the rest.

What must never happen: a message is let in that is not for us, from whom we have no agreement with, or not signed with
a key for speaking; a receipt is given for what no key of ours opens; a receipt is answered with a receipt, which would
never end; the same message has two effects; a number counts as the sender's word to us that is not.
"""

from dataclasses import field, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from uuid import UUID

from shared.contracts.entries import Entry, EntryCode
from shared.contracts.ids import KeyId, MessageId, OrganisationId
from shared.messaging.decision import Decision, Refusal
from shared.sealing.codes import DirectoryCode, EnvelopeCode
from shared.sealing.timestamp import CLOCK_SKEW, FARTHEST_AHEAD
from shared.values import dataclass


class Speaker(StrEnum):
    """Which of its services an organisation spoke with, by the purpose of the key that signed."""

    REFERRAL = "referral"
    """Its signing key: something to act on, which gets a receipt."""
    INTAKE = "intake"
    """Its receipt key: a receipt, which gets none."""
    NEITHER = "neither"
    """A key that is published for something else."""


@dataclass(frozen=True, slots=True)
class Period:
    """From when until when something holds."""

    since: datetime
    until: datetime

    def holds_at(self, at: datetime) -> bool:
        """Tell whether it holds at ``at``; the end is not part of it."""
        return self.since <= at < self.until


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message whose signature holds, and what we know of its sender."""

    id: MessageId
    inbox: UUID
    """The message's name in our inbox, which no other sender can choose."""
    sender: OrganisationId
    recipient: OrganisationId
    sequence: int
    sealed_at: datetime
    expires: datetime
    digest: bytes
    """SHA-256 of the envelope, 32 bytes."""
    envelope: bytes = field(repr=False)
    key: KeyId
    speaker: Speaker
    key_holds: Period
    heard_until: datetime | None
    """When we hear the sender no longer: some weeks after the end of our agreement. ``None`` where there is none."""
    opens_until: datetime | None
    """Until when one of our inbox keys that it is sealed to opens it; ``None`` where none of them is ours."""
    answered: bool = False
    """Whether the one who brings it waits for the answer, so that the receipt need not be sent."""


@dataclass(frozen=True, slots=True)
class Given:
    """The receipt that a message has been given."""

    event: UUID
    at: datetime
    note: str
    """The signed note, the same however often it is asked for."""


@dataclass(frozen=True, slots=True)
class Forward:
    """Hand these bytes to the referral service, as they came."""

    id: UUID
    envelope: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class GiveReceipt:
    """Sign a receipt for this message, keep it, and send it unless the sender waits for it here."""

    arrival: Arrival
    at: datetime


@dataclass(frozen=True, slots=True)
class SendReceiptAgain:
    """Send the receipt that was given when the message first came."""

    to: OrganisationId
    message: MessageId
    given: Given


@dataclass(frozen=True, slots=True)
class Numbered:
    """A message's place in what its sender has said to us with one voice."""

    sender: OrganisationId
    speaker: Speaker
    sequence: int
    message: UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class Admission(Decision[Given]):
    """What follows from an arrival. Also what is refused may have arrived, and count in its sender's sequence."""

    says: tuple[Forward | GiveReceipt | SendReceiptAgain, ...] = ()
    numbered: Numbered | None = None


def postdated(arrival: Arrival, us: OrganisationId, at: datetime) -> bool:
    """Tell whether the sender's clock is so far ahead that the message has to wait; nothing else is wrong with it."""
    return arrival.sealed_at > at + CLOCK_SKEW and _fault(arrival, us, at) is None


def admit(arrival: Arrival, us: OrganisationId, at: datetime) -> Admission:
    """Decide on a message that has not been here before."""
    fault = _fault(arrival, us, at)
    if fault is not None:
        return refuse(arrival, us, fault, at)
    speaks = arrival.speaker is Speaker.REFERRAL
    forward = Forward(arrival.inbox, arrival.envelope)
    return Admission(
        says=(forward, GiveReceipt(arrival, at)) if speaks else (forward,),
        entries=(_entry(EntryCode.MESSAGE_RECEIVED if speaks else EntryCode.RECEIPT_RECEIVED, arrival, at),),
        numbered=_number(arrival, us, at),
    )


def admit_again(arrival: Arrival, given: Given | None, us: OrganisationId, at: datetime) -> Admission:
    """Decide on a message that comes again with the same bytes: the same receipt, and nothing else.

    One that should have a receipt and has none was never let in. It is let in now if nothing speaks against it any
    more; its number has been counted. If something does, nothing follows: that it was refused is kept already.
    """
    if given is not None:
        again = SendReceiptAgain(arrival.sender, arrival.id, given)
        return Admission() if arrival.answered else Admission(says=(again,))
    if arrival.speaker is not Speaker.REFERRAL or _fault(arrival, us, at) is not None:
        return Admission()
    return replace(admit(arrival, us, at), numbered=None)


def refuse(arrival: Arrival, us: OrganisationId, code: str, at: datetime) -> Admission:
    """Refuse a message for the reason ``code``, and write down that it was there."""
    return Admission(
        refusal=Refusal(code),
        entries=(_entry(EntryCode.MESSAGE_REFUSED, arrival, at, reason=code),),
        numbered=_number(arrival, us, at),
    )


def _fault(arrival: Arrival, us: OrganisationId, at: datetime) -> str | None:
    until = arrival.heard_until
    faults = (
        (EnvelopeCode.NOT_FOR_US, arrival.recipient != us),
        (DirectoryCode.KEY_EXPIRED, not arrival.key_holds.holds_at(at)),
        (DirectoryCode.KEY_WRONG_PURPOSE, arrival.speaker is Speaker.NEITHER),
        (DirectoryCode.AGREEMENT_NONE, until is None),
        (DirectoryCode.AGREEMENT_EXPIRED, until is not None and at >= until),
        (EnvelopeCode.EXPIRED, at >= arrival.expires),
        (EnvelopeCode.MISDATED, arrival.sealed_at > at + FARTHEST_AHEAD),
        (EnvelopeCode.UNKNOWN_KEY, arrival.opens_until is None or at >= arrival.opens_until),
    )
    return next((code for code, holds in faults if holds), None)


def _number(arrival: Arrival, us: OrganisationId, at: datetime) -> Numbered | None:
    """Return the message's place in what its sender says to us; ``None`` where its number proves nothing.

    A partner can pass on to us what was sealed for somebody else, and whoever finds an old key can sign any number with
    it. If those counted, a number that was withheld from us could be filled in.
    """
    if arrival.recipient != us or arrival.speaker is Speaker.NEITHER or not arrival.key_holds.holds_at(at):
        return None
    return Numbered(arrival.sender, arrival.speaker, arrival.sequence, arrival.inbox, at)


def _entry(code: EntryCode, arrival: Arrival, at: datetime, **detail: str) -> Entry:
    """Return the audit entry of an arrival: who, which message, which bytes."""
    said = {"digest": arrival.digest.hex(), "key": arrival.key, **detail}
    return Entry(code, actor=arrival.sender, subject=arrival.id, at=at, detail=MappingProxyType(said))
