"""What we have said is said again until it is proved: by the partner's receipt, or by a later event of the partner.

A message that is lost on the way would deafen the referral for good: whatever follows it waits for its number. So each
of our own events is said again, in a new envelope, in two minutes, in four more, and so on up to once a day; what could
not be said at all is said as soon as it can be. When that is, is part of the state.

What is said again leaves again: the words go only where they still may. When the referral has ended, when consent was
taken back or the terms have run out, an event keeps its number and its codes and loses what it disclosed; an offer,
which is nothing without its packet, is given up. Where an agreement alone is missing, the event waits for one, unless
something that may not wait stands behind it in the lane: then it goes without its words as well.

What must never happen: an event that is not proved is forgotten while somebody may wait for what follows it; or a word
leaves that the person does not allow any more.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from services.referral.domain.life import STEPS
from services.referral.domain.referral import AT_ONCE, Referral, Repeat
from services.referral.domain.retelling import Papers, retold
from services.referral.domain.ruling import Act, Ruling, Tell
from services.referral.domain.telling import entry
from services.referral.domain.terms import ended
from shared.contracts.codes import Step
from shared.contracts.entries import Entry, EntryCode
from shared.contracts.exchange import ReferralEvent
from shared.growing import doubling

FIRST_PAUSE: Final = timedelta(minutes=2)
"""Shorter than the clock of the receipt: what one loss can mend alarms nobody."""
LONGEST_PAUSE: Final = timedelta(days=1)

FEEDBACK: Final = frozenset({Step.PROGRESSED, Step.CLOSED})
"""What flows back after the arrival, as long as the terms run."""

NO_PAPERS: Final[Papers] = MappingProxyType({})

GIVEN_UP: Final = "ended"
LEFT: Final = "left"
EMPTIED: Final = "emptied"
"""What became of an event's words when it was said again."""


def next_after(times: int, at: datetime) -> Repeat:
    """Return when something is said next that was said at ``at`` for the ``times``-th time."""
    return Repeat(times, at + doubling(times, FIRST_PAUSE, LONGEST_PAUSE))


def once_said(referral: Referral, n: int, at: datetime) -> Referral:
    """Return the referral, our event ``n`` having been said at ``at`` for the first time."""
    return _with(referral, {n: next_after(1, at)})


def left_unsaid(referral: Referral, numbers: Iterable[int]) -> Referral:
    """Return the referral, our events of these ``numbers`` having been left unsaid: they are said once they can be."""
    return _with(referral, dict.fromkeys(numbers, Repeat(0, AT_ONCE)))


def held_back(referral: Referral, numbers: Iterable[int]) -> Referral:
    """Return the referral, our events of these ``numbers`` not having been said again: the same pause begins anew."""
    repeats = {n: referral.repeats[n] for n in numbers}
    return _with(referral, {n: Repeat(repeat.times - 1, repeat.at) for n, repeat in repeats.items()})


def say_again(referral: Referral, papers: Mapping[int, Papers], act: Act, *, agreed: bool) -> Ruling[Referral]:
    """Say what is due.

    ``papers`` are those of our own events, by their number; ``agreed`` is whether an agreement is in force now.
    """
    due = {n: repeat.times for n, repeat in sorted(referral.repeats.items()) if repeat.at <= act.at}
    if not due:
        return Ruling()
    waiting = [n for n in due if not agreed and _awaits_agreement(referral, n, act.at)]
    events = {n: _leaving(referral, n, papers, act.at, agreed=agreed) for n in due if n not in waiting}
    given_up = [n for n, event in events.items() if event is None]
    again = {n: next_after(times + 1, act.at) for n, times in due.items() if n not in given_up}
    later = {n: repeat for n, repeat in referral.repeats.items() if n not in due}
    return Ruling(
        state=held_back(replace(referral, repeats=MappingProxyType(later | again)), waiting),
        says=tuple(Tell(referral.partner, event, again=True) for event in events.values() if event is not None),
        entries=tuple(_line(referral, n, papers, event, act) for n, event in events.items()),
    )


def repeat_lane(referral: Referral, act: Act) -> Ruling[Referral]:
    """Have all that we have ever said about the referral said again, because the partner has lost it."""
    own = range(1, len(referral.lane(referral.side)) + 1)
    said = {n: Repeat(1, AT_ONCE) for n in own if n not in referral.unsaid}
    repeated = entry(referral, EntryCode.REFERRAL_REPEATED, act, count=str(len(own)))
    return Ruling(state=_with(referral, said), entries=(repeated,))


def _with(referral: Referral, repeats: Mapping[int, Repeat]) -> Referral:
    return replace(referral, repeats=MappingProxyType({**referral.repeats, **repeats}))


def _leaving(
    referral: Referral, n: int, papers: Mapping[int, Papers], at: datetime, *, agreed: bool
) -> ReferralEvent | None:
    """Return our event ``n`` with all of its papers or none, as may leave now; ``None`` where it may not leave."""
    return retold(referral, n, papers.get(n, NO_PAPERS) if _may_leave(referral, n, at, agreed=agreed) else NO_PAPERS)


def _awaits_agreement(referral: Referral, n: int, at: datetime) -> bool:
    """Tell whether our event ``n``, which may wait, would leave whole if there were an agreement.

    It may not wait where it is patient itself, or something behind it is: the partner hears that only after this one.
    """
    lane = referral.lane(referral.side)
    owed = any(STEPS[lane[later - 1].step].patient for later in referral.repeats if later >= n)
    return not owed and _may_leave(referral, n, at, agreed=True)


def _may_leave(referral: Referral, n: int, at: datetime, *, agreed: bool) -> bool:
    """Tell whether the words of our event ``n`` may leave again. What ends access never waits, and goes whole."""
    step = referral.lane(referral.side)[n - 1].step
    if STEPS[step].patient and step not in FEEDBACK:
        return True
    standing = referral.standing
    void = (referral.side, n) in standing.superseded or standing.consent_withdrawn_at is not None
    return agreed and not void and not ended(referral.terms, at) and (referral.is_open or step in FEEDBACK)


def _line(referral: Referral, n: int, papers: Mapping[int, Papers], event: ReferralEvent | None, act: Act) -> Entry:
    """Return what the audit trail says of our event ``n``: given up, or said again with its words or without."""
    step = referral.lane(referral.side)[n - 1].step.value
    if event is None:
        return entry(referral, EntryCode.REFERRAL_UNSAID, act, step=step, n=str(n), reason=GIVEN_UP)
    words = LEFT if event == retold(referral, n, papers.get(n, NO_PAPERS)) else EMPTIED
    return entry(referral, EntryCode.REFERRAL_SAID, act, step=step, n=str(n), words=words)
