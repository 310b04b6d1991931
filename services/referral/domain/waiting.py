"""What cannot be said yet: a partner has no key to seal to, or does not hear it, or we have no key to sign with.

What has happened, and what ends access, is true whether or not the partner can be told: it is kept at once, left
unsaid, and said when it can be (``repeating.py``); the clock that waits for its receipt tells staff meanwhile. What
discloses rests on what the person allows when it leaves, and a question or a meeting is nothing while nobody hears it:
those are refused, to be decided again.

What must never happen: what protects the person is refused, or a part of it dropped, because a partner cannot be told.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from services.referral.domain.life import STEPS
from services.referral.domain.referral import Referral
from services.referral.domain.repeating import left_unsaid
from services.referral.domain.ruling import Ruling, Tell
from shared.contracts.entries import Entry, EntryCode
from shared.contracts.ids import OrganisationId

State = TypeVar("State")


def put_off(ruling: Ruling[State], why: Mapping[OrganisationId, str]) -> Ruling[State]:
    """Return ``ruling`` with what cannot be said now left unsaid, or refuse it where that may not wait.

    ``why`` gives the reason for each partner that cannot be told. What is said again is refused: it waits on.
    """
    unsaid = tuple(said for said in ruling.says if isinstance(said, Tell) and said.to in why)
    also = tuple(put_off(each, why) for each in ruling.also)
    refused = [why[tell.to] for tell in unsaid if tell.again or not STEPS[tell.event.step].patient]
    refused += [each.refusal.code for each in also if each.refusal is not None]
    if refused:
        return Ruling.refused(refused[0])
    return replace(
        ruling,
        state=_with_unsaid(ruling.state, unsaid),
        says=tuple(said for said in ruling.says if not isinstance(said, Tell) or said.to not in why),
        entries=(*ruling.entries, *(_left_unsaid(tell, why[tell.to], ruling.entries[0]) for tell in unsaid)),
        also=also,
    )


def _with_unsaid(state: State | None, tells: Sequence[Tell]) -> State | None:
    """Note in the referral that is told of which of its events have not left."""
    if not tells or not isinstance(state, Referral):
        return state
    waiting = left_unsaid(state, [tell.event.n for tell in tells])
    return replace(state, repeats=waiting.repeats)


def _left_unsaid(tell: Tell, reason: str, step: Entry) -> Entry:
    """Return the audit trail's line that goes with the line of the step itself."""
    detail = {"step": tell.event.step.value, "n": str(tell.event.n), "reason": reason}
    return step._replace(code=EntryCode.REFERRAL_UNSAID, detail=detail)
