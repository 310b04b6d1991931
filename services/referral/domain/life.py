"""Three tables: what each step is, what each status means, and where a step leads from it.

All that the rest of the domain asks of a step or a status stands here. Every transition that is not here is refused, in
both stores. The tables know nothing of messages or races; what two organisations said at the same time is put in order
first (:mod:`services.referral.domain.lanes`).
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from shared.contracts.codes import Status, Step, Urgency


class Side(StrEnum):
    """The two ends of a referral."""

    SENDER = "sender"
    RECEIVER = "receiver"

    @property
    def other(self) -> "Side":
        """The opposite end."""
        return Side.RECEIVER if self is Side.SENDER else Side.SENDER


class Words(StrEnum):
    """Under which condition the words of a step leave, the first time and whenever it is said again.

    Words are whatever is not a code, a time or an organisation's id (:func:`services.referral.domain.moves.has_words`).
    """

    NONE = "none"
    """It has none."""
    GRANTS = "grants"
    """Where grants cover them: the command of the sender asks the gate (``policy.py``). Again, while the terms run."""
    TERMS = "terms"
    """While the terms run; after that the step itself waits for a new grant."""
    FEEDBACK = "feedback"
    """After the arrival, while the person lets the sender know how they are; a step that cannot wait goes without."""
    ALWAYS = "always"
    """Whatever the person allows: the sender answers for them, has told what it knows, and must know this."""


class Traits(NamedTuple):
    """What kind of step it is. None of the answers is understood: a new step gives each."""

    said_by: Side
    happened: bool
    """It has happened in the world, and is not undone by what somebody else wanted at the time.

    So is what a receiver says once the person may come: else an arrival behind it in the lane loses to a withdrawal.
    """
    owed: bool
    """It has happened or ends access: kept, and said later, where the partner cannot be told now."""
    words: Words
    """When what it says in words may leave."""
    alarms: Urgency | None
    """The person may be in danger, or have rights to be kept: the coordinator is told too, as urgently at least."""


STEPS: Mapping[Step, Traits] = MappingProxyType(
    {
        Step.OFFERED: Traits(Side.SENDER, happened=False, owed=False, words=Words.GRANTS, alarms=None),
        Step.OPENED: Traits(Side.RECEIVER, happened=True, owed=True, words=Words.TERMS, alarms=None),
        Step.ASKED: Traits(Side.RECEIVER, happened=False, owed=False, words=Words.TERMS, alarms=None),
        Step.ANSWERED: Traits(Side.SENDER, happened=False, owed=False, words=Words.TERMS, alarms=None),
        Step.ACCEPTED: Traits(Side.RECEIVER, happened=False, owed=False, words=Words.TERMS, alarms=None),
        Step.DISCLOSED: Traits(Side.SENDER, happened=False, owed=False, words=Words.GRANTS, alarms=None),
        Step.DECLINED: Traits(Side.RECEIVER, happened=False, owed=True, words=Words.ALWAYS, alarms=None),
        Step.REDIRECTED: Traits(Side.RECEIVER, happened=False, owed=True, words=Words.ALWAYS, alarms=None),
        Step.ARRIVED: Traits(Side.RECEIVER, happened=True, owed=True, words=Words.NONE, alarms=None),
        Step.MISSED: Traits(Side.RECEIVER, happened=True, owed=True, words=Words.ALWAYS, alarms=Urgency.IMMEDIATE),
        Step.RESCHEDULED: Traits(Side.SENDER, happened=False, owed=False, words=Words.GRANTS, alarms=None),
        Step.PROGRESSED: Traits(Side.RECEIVER, happened=True, owed=False, words=Words.FEEDBACK, alarms=None),
        Step.CLOSED: Traits(Side.RECEIVER, happened=True, owed=True, words=Words.FEEDBACK, alarms=None),
        Step.WITHDRAWN: Traits(Side.SENDER, happened=False, owed=True, words=Words.NONE, alarms=None),
        Step.CONSENT_WITHDRAWN: Traits(Side.SENDER, happened=False, owed=True, words=Words.NONE, alarms=Urgency.URGENT),
    },
)
"""Every step that one organisation says to the other. ``received`` is not among them: a receipt proves it."""

ONLY_HEARD: frozenset[Step] = frozenset()
"""What is heard already, and said by nobody for one release: it has no command and no route yet."""

SAID_BY: Mapping[Step, Side] = MappingProxyType({step: traits.said_by for step, traits in STEPS.items()})

ENDS_ACCESS = frozenset(step for step, traits in STEPS.items() if traits.said_by is Side.SENDER and traits.owed)
"""With it the sender ends what the receiver may open."""

HAPPENED = frozenset(step for step, traits in STEPS.items() if traits.happened)

FROM_THE_CASE = frozenset(
    step for step, traits in STEPS.items() if traits.said_by is Side.SENDER and traits.words is not Words.NONE
)
"""With it the sender discloses something: its command looks at the whole case, its other referrals too."""

IN_TERMS = frozenset(step for step, traits in STEPS.items() if traits.words is Words.TERMS)
"""What waits for a new grant when the person's has run out: to read, to ask and to be answered, to accept."""

FEEDBACK = frozenset(step for step, traits in STEPS.items() if traits.words is Words.FEEDBACK)
"""What flows back after the arrival, as long as the terms run."""


class Whereabouts(StrEnum):
    """Where the person is, as the receiver sees it."""

    AWAY = "away"
    """They are not on the way there, or not any more."""
    EXPECTED = "expected"
    """Who they are is disclosed, so that they can come: they are on the way, or did not come when they should."""
    THERE = "there"
    """They have come; that they have left again, a move says."""


class Situation(NamedTuple):
    """What a status means. None of the answers is understood: a new status gives each."""

    is_open: bool
    """It goes on. Consent taken back ends it, also where the receiver has yet to say that the person has left."""
    person: Whereabouts
    once_taken_back: Status
    """Where it leads that the person takes consent back, which they always can."""


STATUSES: Mapping[Status, Situation] = MappingProxyType(
    {
        Status.OFFERED: Situation(is_open=True, person=Whereabouts.AWAY, once_taken_back=Status.WITHDRAWN),
        Status.RECEIVED: Situation(is_open=True, person=Whereabouts.AWAY, once_taken_back=Status.WITHDRAWN),
        Status.OPENED: Situation(is_open=True, person=Whereabouts.AWAY, once_taken_back=Status.WITHDRAWN),
        Status.ASKED: Situation(is_open=True, person=Whereabouts.AWAY, once_taken_back=Status.WITHDRAWN),
        Status.ACCEPTED: Situation(is_open=True, person=Whereabouts.AWAY, once_taken_back=Status.WITHDRAWN),
        Status.DISCLOSED: Situation(is_open=True, person=Whereabouts.EXPECTED, once_taken_back=Status.WITHDRAWN),
        Status.MISSED: Situation(is_open=True, person=Whereabouts.EXPECTED, once_taken_back=Status.WITHDRAWN),
        Status.ARRIVED: Situation(is_open=True, person=Whereabouts.THERE, once_taken_back=Status.CLOSING),
        Status.CLOSING: Situation(is_open=False, person=Whereabouts.THERE, once_taken_back=Status.CLOSING),
        Status.CLOSED: Situation(is_open=False, person=Whereabouts.THERE, once_taken_back=Status.CLOSED),
        Status.DECLINED: Situation(is_open=False, person=Whereabouts.AWAY, once_taken_back=Status.WITHDRAWN),
        Status.REDIRECTED: Situation(is_open=False, person=Whereabouts.AWAY, once_taken_back=Status.WITHDRAWN),
        Status.WITHDRAWN: Situation(is_open=False, person=Whereabouts.AWAY, once_taken_back=Status.WITHDRAWN),
    },
)
"""Every status that a referral can have."""

OPEN = frozenset(status for status, is_ in STATUSES.items() if is_.is_open)

EXPECTED = frozenset(status for status, is_ in STATUSES.items() if is_.person is Whereabouts.EXPECTED)

BEFORE_ARRIVAL = frozenset(status for status in OPEN if STATUSES[status].person is not Whereabouts.THERE)
"""Open, and the person is not there yet."""

NEVER_CAME = frozenset(status for status in STATUSES.keys() - OPEN if STATUSES[status].person is Whereabouts.AWAY)
"""It has ended, and the person is not there: the receiver may open nothing more."""

READABLE = frozenset({Status.RECEIVED, Status.OPENED, Status.ASKED})
"""The receiver has not decided yet."""

_DECIDING = READABLE | {None, Status.OFFERED}

TABLE: Mapping[tuple[Status | None, Step], Status] = MappingProxyType(
    {(None, Step.OFFERED): Status.OFFERED, (Status.OFFERED, Step.RECEIVED): Status.RECEIVED}
    | {(Status.RECEIVED, Step.OPENED): Status.OPENED}
    | {(status, Step.ASKED): Status.ASKED for status in (Status.RECEIVED, Status.OPENED)}
    | {(Status.ASKED, Step.ANSWERED): Status.OPENED}
    | {(status, Step.ACCEPTED): Status.ACCEPTED for status in READABLE}
    | {(status, Step.DECLINED): Status.DECLINED for status in READABLE}
    | {(status, Step.REDIRECTED): Status.REDIRECTED for status in READABLE}
    | {(Status.ACCEPTED, Step.DISCLOSED): Status.DISCLOSED}
    | {(status, Step.ARRIVED): Status.ARRIVED for status in (Status.DISCLOSED, Status.MISSED)}
    | {(Status.DISCLOSED, Step.MISSED): Status.MISSED}
    | {(Status.MISSED, Step.RESCHEDULED): Status.DISCLOSED}
    | {(Status.ARRIVED, Step.PROGRESSED): Status.ARRIVED}
    | {(status, Step.CLOSED): Status.CLOSED for status in (Status.ARRIVED, Status.CLOSING)}
    | {(status, Step.WITHDRAWN): Status.WITHDRAWN for status in BEFORE_ARRIVAL}
    | {(status, Step.CONSENT_WITHDRAWN): is_.once_taken_back for status, is_ in STATUSES.items()},
)
"""Where each step leads from each status; ``None`` is a referral that is not there yet."""


def _ways_on(start: Status) -> frozenset[Status]:
    """Return where a referral can come to from ``start`` while it is open, ``start`` among them."""
    found = frozenset({start})
    while more := {to for (status, _), to in TABLE.items() if status in found and to in OPEN} - found:
        found |= more
    return found


REPEATABLE = frozenset(step for (status, step), to in TABLE.items() if to in OPEN and status in _ways_on(to))
"""What may be said again and again while the referral is open, because it leads back to where it came from."""


ONCE_ACCEPTED = STEPS.keys() - {step for status, step in TABLE if status in _DECIDING}
"""What nobody says before the receiver has said that it will help; before that, words go to somebody who decides."""


def after(status: Status | None, step: Step) -> Status | None:
    """Return where ``step`` leads from ``status``, or ``None`` where the table does not have it.

    Whatever the receiver says proves that it holds the offer: the receipt is implied where it has not come yet.
    """
    if status is Status.OFFERED and SAID_BY.get(step) is Side.RECEIVER:
        status = Status.RECEIVED
    return TABLE.get((status, step))
