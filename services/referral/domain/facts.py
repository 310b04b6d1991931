"""The facts that staff are told of a referral, and its lines in the audit trail.

A fact says that something happened and where to look, by the alias: what leaves for people never has the id that the
partner has too. The loser of a race is always told; a person who did not come,
and consent taken back, reach the coordinator besides whoever follows the referral.
"""

from collections.abc import Collection, Iterable, Iterator
from collections.abc import Set as AbstractSet
from datetime import datetime
from uuid import UUID

from services.referral.domain.life import STEPS
from services.referral.domain.referral import Referral
from services.referral.domain.ruling import Act
from shared.contracts.codes import Step, Urgency
from shared.contracts.entries import Entry, EntryCode
from shared.contracts.facts import Audience, Fact, FactCode
from shared.contracts.ids import FactId


def fact(
    referral: Referral,
    code: FactCode,
    at: datetime,
    ids: Iterator[UUID],
    *,
    audience: Audience | None = None,
    urgency: Urgency | None = None,
) -> Fact:
    """Return the fact for whoever follows the referral, or for ``audience``."""
    if audience is None:
        audience = Audience.CASEWORKERS if referral.assignee is None else Audience.ASSIGNEE
    return Fact(
        id=FactId(next(ids)),
        code=code,
        subject=referral.alias,
        urgency=urgency or referral.urgency,
        audience=audience,
        assignee=referral.assignee if audience is Audience.ASSIGNEE else None,
        at=at,
    )


def step_facts(referral: Referral, step: Step, act: Act) -> tuple[Fact, ...]:
    """Return the facts that tell staff of a step of the referral's life; an offer has reached them as *received*."""
    code = FactCode(f"referral.{Step.RECEIVED if step is Step.OFFERED else step}")
    urgency = _urgency_of(step, referral.urgency)
    audiences = (None, Audience.COORDINATOR) if STEPS[step].alarms else (None,)
    return tuple(fact(referral, code, act.at, act.ids, audience=who, urgency=urgency) for who in audiences)


def alarm(referral: Referral, code: FactCode, act: Act) -> tuple[Fact, ...]:
    """Return the facts that tell whoever follows the referral, and the coordinator, at once."""
    return tuple(
        fact(referral, code, act.at, act.ids, audience=who, urgency=Urgency.IMMEDIATE)
        for who in (None, Audience.COORDINATOR)
    )


def receipt_facts(referral: Referral, steps: Collection[Step], act: Act) -> tuple[Fact, ...]:
    """Return the facts that tell of ``steps`` that nothing proves the partner to hold: an operator is told as well."""
    if not steps:
        return ()
    urgency = _most_urgent(_urgency_of(step, referral.urgency) for step in steps)
    alarmed = any(STEPS[step].alarms for step in steps)
    audiences = (Audience.OPERATOR, None, *([Audience.COORDINATOR] if alarmed else []))
    return tuple(
        fact(referral, FactCode.RECEIPT_MISSING, act.at, act.ids, audience=who, urgency=urgency) for who in audiences
    )


def emptied_facts(referral: Referral, emptied: AbstractSet[int], act: Act) -> tuple[Fact, ...]:
    """Return the fact that tells staff of an open referral which of our events go ``emptied`` now: of each once."""
    told = emptied <= referral.emptied or not referral.is_open
    return () if told else (fact(referral, FactCode.REFERRAL_EMPTIED, act.at, act.ids),)


def _urgency_of(step: Step, urgency: Urgency) -> Urgency:
    """A person who did not come cannot wait; nor can what must be erased within 72 hours."""
    alarms = STEPS[step].alarms
    return urgency if alarms is None else _most_urgent((urgency, alarms))


def _most_urgent(urgencies: Iterable[Urgency]) -> Urgency:
    return min(urgencies, key=list(Urgency).index)


def entry(referral: Referral, code: EntryCode, act: Act, **detail: str) -> Entry:
    """Return the audit trail's line about ``referral``."""
    return Entry(code, act.by, referral.id, act.at, detail, referral.case)


def offer_entry(referral: Referral, act: Act, **detail: str) -> Entry:
    """Return the line about the offer: it alone says by which alias this organisation's people are told of it."""
    said = {"kind": referral.kind.value, "alias": str(referral.alias), **detail}
    return entry(referral, EntryCode.REFERRAL_OFFERED, act, **said)


def newly_superseded(before: Referral, after: Referral) -> tuple[int, ...]:
    """Return the numbers of this organisation's own moves that had an effect before and have none now."""
    lost = after.standing.superseded - before.standing.superseded
    return tuple(sorted(number for side, number in lost if side is before.side))


def conflict(before: Referral, after: Referral, act: Act) -> tuple[tuple[Fact, ...], tuple[Entry, ...]]:
    """Tell this organisation's staff, once, that the partner acted at the same time and theirs has no effect."""
    lost = newly_superseded(before, after)
    if not lost:
        return (), ()
    lane = after.lane(after.side)
    steps = " ".join(lane[number - 1].step.value for number in lost)
    told = fact(after, FactCode.REFERRAL_CONFLICTED, act.at, act.ids)
    return (told,), (entry(after, EntryCode.REFERRAL_CONFLICTED, act, superseded=steps),)
