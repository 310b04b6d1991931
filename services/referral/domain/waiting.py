"""What cannot be said yet: a partner has no key to seal to, or does not hear it, or we have no key to sign with.

What has happened, and what ends access, is true whether or not the partner can be told: it is kept at once, left
unsaid, and said when it can be (``repeating.py``); the clock that waits for its receipt tells staff meanwhile. What
discloses rests on what the person allows when it leaves, and a question or a meeting is nothing while nobody hears it:
those are refused, to be decided again. So is whatever is of a type later than the first version, where the partner does
not hear it: kept, it would have a number that the partner may never get, and all that is said later would wait for it.

What must never happen: what protects the person is refused, or a part of it dropped, because a partner cannot be told;
or it waits behind what the partner does not understand.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TypeVar

from services.referral.domain.life import STEPS
from services.referral.domain.referral import Referral
from services.referral.domain.repeating import held_back, left_unsaid
from services.referral.domain.ruling import Ruling, Tell
from shared.contracts.entries import Entry, EntryCode
from shared.contracts.event import EventId, type_of
from shared.contracts.exchange import ReferralEvent
from shared.contracts.heard import FIRST
from shared.sealing.codes import DirectoryCode

State = TypeVar("State")


def put_off(ruling: Ruling[State], why: Mapping[EventId, str]) -> Ruling[State]:
    """Return ``ruling`` with what cannot be said now left unsaid, or refuse it where that may not wait.

    ``why`` gives the reason for each event that cannot be said. One that would be said again waits as long once more.
    """
    hindered = [tell for tell in ruling.says if isinstance(tell, Tell) and tell.event.id in why]
    unsaid = [tell for tell in hindered if not tell.again]
    also = tuple(put_off(each, why) for each in ruling.also)
    refused = [why[tell.event.id] for tell in unsaid if not _may_wait(tell.event, why[tell.event.id])]
    refused += [each.refusal.code for each in also if each.refusal is not None]
    if refused:
        return Ruling.refused(refused[0])
    again = {tell.event.n for tell in hindered if tell.again}
    return replace(
        ruling,
        state=_waiting(ruling.state, [tell.event.n for tell in unsaid], again),
        says=tuple(said for said in ruling.says if not (isinstance(said, Tell) and said.event.id in why)),
        entries=(
            *(line for line in ruling.entries if not _says_one_of(line, again)),
            *(_left_unsaid(tell, why[tell.event.id], ruling.entries[0]) for tell in unsaid),
        ),
        also=also,
    )


def _may_wait(event: ReferralEvent, reason: str) -> bool:
    """Tell whether ``event`` is kept until it can be said, though it cannot be now for this ``reason``."""
    comes = reason != DirectoryCode.TYPE_UNHEARD or type_of(type(event)) in FIRST
    return comes and STEPS[event.step].owed


def _waiting(state: State | None, unsaid: Collection[int], again: Collection[int]) -> State | None:
    """Note in the referral that is told of which of its events have not left."""
    if not (unsaid or again) or not isinstance(state, Referral):
        return state
    return replace(state, repeats=held_back(left_unsaid(state, unsaid), again).repeats)


def _says_one_of(line: Entry, numbers: Collection[int]) -> bool:
    return line.code is EntryCode.REFERRAL_SAID and int(line.detail["n"]) in numbers


def _left_unsaid(tell: Tell, reason: str, step: Entry) -> Entry:
    """Return the audit trail's line that goes with the line of the step itself."""
    detail = {"step": tell.event.step.value, "n": str(tell.event.n), "reason": reason}
    return step._replace(code=EntryCode.REFERRAL_UNSAID, detail=detail)
