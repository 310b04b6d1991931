"""What follows from a fact: one telling for each person who must know, by the bell and perhaps by mail.

This is the whole business of the service, and all of it is pure.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from services.notify.domain.notice import Matter, matter_of
from services.notify.domain.when import PATIENCE, mail_wait
from services.notify.domain.who import Person, on_duty, who
from shared.contracts.codes import Urgency
from shared.contracts.entries import Entry, EntryCode
from shared.contracts.facts import Audience, Fact
from shared.contracts.ids import FactId, OrganisationId, StaffId
from shared.messaging.decision import Decision
from shared.values import dataclass

NOBODY = "nobody-to-tell"
"""The organisation has nobody for any audience. The fact is parked, and replayed when somebody is there."""

LONGEST_AGO: Final = timedelta(days=180)
"""What is told of as older has come from a clock that was wrong."""


@dataclass(frozen=True, slots=True)
class Telling:
    """One person is told once of one fact. No field has room for anything about the person whom it concerns."""

    staff: StaffId
    fact: FactId
    subject: UUID
    urgency: Urgency
    matter: Matter
    at: datetime
    """When it happened."""
    audience: Audience
    """Who must know, by role: others of it are told where this person cannot be."""
    mail_wait: timedelta | None
    """How long to wait before it is mailed, if it is still unread by then; ``None`` for the bell alone."""


def tell(fact: Fact, people: Sequence[Person], organisation: OrganisationId, at: datetime) -> Decision[None]:
    """Say who is told of ``fact``, heard at ``at``, and write that down; ``nobody-to-tell`` where nobody can be.

    A fact whose clock was wrong happened when it was heard, or :data:`LONGEST_AGO`: its time can be shown.
    """
    wait = mail_wait(fact.code, fact.urgency)
    happened = min(max(fact.at, at - LONGEST_AGO), at)
    tellings = tuple(
        Telling(
            staff=person.id,
            fact=fact.id,
            subject=fact.subject,
            urgency=fact.urgency,
            matter=matter_of(fact.code),
            at=happened,
            audience=fact.audience,
            mail_wait=wait if person.has_mail else None,
        )
        for person in who(fact, people)
    )
    if not tellings:
        return Decision.refused(NOBODY)
    return Decision(says=tellings, entries=tuple(made(telling, organisation, at) for telling in tellings))


def tell_instead(telling: Telling, people: Sequence[Person]) -> tuple[Telling, ...]:
    """Say who is told in the place of whoever has not read ``telling`` and cannot be mailed; nobody if nobody is there.

    It is mailed when ``telling`` says, to those who have mail.
    """
    others = [person for person in people if person.id != telling.staff]
    return tuple(
        replace(telling, staff=person.id, mail_wait=telling.mail_wait if person.has_mail else None)
        for person in on_duty(telling.audience, others)
    )


@dataclass(frozen=True, slots=True)
class Unread:
    """What somebody who has left has not read."""

    staff: StaffId
    fact: FactId
    subject: UUID
    urgency: Urgency
    matter: Matter
    at: datetime
    mailed: bool
    """Whether it asks something, so that it was to be mailed."""
    known: bool
    """Whether somebody who is there was told of the same."""


def tell_after(unread: Unread, people: Sequence[Person]) -> tuple[Telling, ...]:
    """Say who is told of what a leaver has not read: coordinators, or operators where something is parked.

    There may be much of it: what asks something is mailed only where nobody looks at the bell for a while.
    """
    telling = Telling(
        staff=unread.staff,
        fact=unread.fact,
        subject=unread.subject,
        urgency=unread.urgency,
        matter=unread.matter,
        at=unread.at,
        audience=Audience.OPERATOR if unread.matter is Matter.PARKED else Audience.COORDINATOR,
        mail_wait=PATIENCE if unread.mailed else None,
    )
    return tell_instead(telling, people)


def tell_parked(fact: FactId, held: UUID, people: Sequence[Person], at: datetime) -> tuple[Telling, ...]:
    """Say which operators hear, by the bell alone, that a message or a mail was parked here as ``held``.

    ``fact`` is new each time: what is replayed and parked again is told again.
    By the bell alone: where mail is what fails, a mail about it would fail in turn, without an end.
    """
    return tuple(
        Telling(person.id, fact, held, Urgency.URGENT, Matter.PARKED, at, Audience.OPERATOR, mail_wait=None)
        for person in on_duty(Audience.OPERATOR, people)
    )


def made(telling: Telling, organisation: OrganisationId, at: datetime) -> Entry:
    """Return what is written down of a telling."""
    channels = "bell" if telling.mail_wait is None else "bell,mail"
    detail = {"fact": str(telling.fact), "staff": telling.staff, "channels": channels}
    return Entry(EntryCode.NOTIFICATION_MADE, organisation, telling.subject, at, detail)
