"""What we have said is said again until it is proved: by the partner's receipt, or by a later event of the partner.

A message that is lost on the way would deafen the referral for good: whatever follows it waits for its number. So each
of our own events is said again, in a new envelope, in two minutes, in four more, and so on up to once a day; what could
not be said at all is said as soon as it can be. When that is, is part of the state.

What is said again leaves again, through the same gate (``leaving.py``). Where its words may not leave any more, an
event keeps its number and its codes and loses what it disclosed, an offer too: the partner would wait for its number.
Where an agreement alone is missing, the event waits for one, unless something that may not wait stands behind
it in the lane: then it goes without its words as well.

What must never happen: an event that is not proved is forgotten while somebody may wait for what follows it; or a word
leaves that the person does not allow any more.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from services.referral.domain.facts import emptied_facts, entry
from services.referral.domain.leaving import NO_PAPERS, Today, awaits_agreement, goes_whole, leaving
from services.referral.domain.referral import AT_ONCE, Referral, Repeat
from services.referral.domain.retelling import Papers
from services.referral.domain.ruling import Act, Ruling, Tell
from shared.contracts.entries import Entry, EntryCode
from shared.contracts.exchange import ReferralEvent
from shared.growing import doubling

FIRST_PAUSE: Final = timedelta(minutes=2)
"""Shorter than the clock of the receipt: what one loss can mend alarms nobody."""
LONGEST_PAUSE: Final = timedelta(days=1)

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


def say_again(referral: Referral, papers: Mapping[int, Papers], act: Act, today: Today) -> Ruling[Referral]:
    """Say what is due, as far as the gate lets it go ``today``; ``papers`` are those of our own events."""
    due = {n: repeat.times for n, repeat in sorted(referral.repeats.items()) if repeat.at <= act.at}
    if not due:
        return Ruling()
    waiting = [n for n in due if not today.agreed and awaits_agreement(referral, n, act.at)]
    events = {n: leaving(referral, n, papers.get(n, NO_PAPERS), act.at, today) for n in due if n not in waiting}
    again = {n: next_after(times + 1, act.at) for n, times in due.items()}
    later = {n: repeat for n, repeat in referral.repeats.items() if n not in due}
    lines = {n: said_line(referral, n, papers.get(n, NO_PAPERS), event, act) for n, event in events.items()}
    emptied = {n for n, line in lines.items() if line.detail["words"] == EMPTIED}
    said = replace(
        referral,
        repeats=MappingProxyType(later | again),
        emptied=referral.emptied - events.keys() | emptied,
    )
    tells = (Tell(referral.partner, event, again=True) for event in events.values())
    return Ruling(
        state=held_back(said, waiting),
        says=(*tells, *emptied_facts(referral, emptied, act)),
        entries=tuple(lines.values()),
    )


def repeat_lane(referral: Referral, act: Act) -> Ruling[Referral]:
    """Have all that we have ever said about the referral said again, because the partner has lost it."""
    own = range(1, len(referral.lane(referral.side)) + 1)
    said = {n: Repeat(1, AT_ONCE) for n in own if n not in referral.unsaid}
    repeated = entry(referral, EntryCode.REFERRAL_REPEATED, act, count=str(len(own)))
    return Ruling(state=_with(referral, said), entries=(repeated,))


def _with(referral: Referral, repeats: Mapping[int, Repeat]) -> Referral:
    return replace(referral, repeats=MappingProxyType({**referral.repeats, **repeats}))


def said_line(referral: Referral, n: int, papers: Papers, event: ReferralEvent, act: Act) -> Entry:
    """Return what the audit trail says of our event ``n``: that it was said again, with its words or without."""
    step = referral.lane(referral.side)[n - 1].step.value
    words = LEFT if goes_whole(referral, n, papers, event) else EMPTIED
    return entry(referral, EntryCode.REFERRAL_SAID, act, step=step, n=str(n), words=words)
