"""Whether what was decided may leave now: asked before it is said again, and before a letter is tried again.

What a referral says leaves at the hour at which it goes, and not at the one at which it was decided. So its words go
only while an agreement is in force, the referral is open, consent stands, the terms run and let news flow back where
they are news, and the gate (``policy.py``) would let go the same categories to the partner as it is today. Words in no
category rest on the summary, as they did. Words that are owed in any case wait for nothing but an agreement.

What must never happen: a word leaves that the person does not allow any more, or that nobody may have here today.
"""

from datetime import datetime
from types import MappingProxyType
from typing import Final

from services.referral.domain.casefile import CaseFile
from services.referral.domain.life import FEEDBACK, ONCE_ACCEPTED, STEPS, Side, Words
from services.referral.domain.moves import rests_on
from services.referral.domain.policy import Grounds, Recipient, Stage, release
from services.referral.domain.referral import Referral
from services.referral.domain.retelling import Papers, readable, retold, wordless
from services.referral.domain.ruling import PaperName
from services.referral.domain.terms import ended, news_allowed
from shared.contracts.codes import Step
from shared.contracts.exchange import ReferralEvent
from shared.values import dataclass

NO_PAPERS: Final[Papers] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Today:
    """What the gate looks at."""

    file: CaseFile
    to: Recipient | None
    """The partner as it is now; nothing goes to whom nobody knows."""

    @property
    def agreed(self) -> bool:
        """Whether an agreement with the partner is in force, so that words may leave."""
        return self.to is not None and self.to.agreed


def leaving(referral: Referral, n: int, papers: Papers, at: datetime, today: Today) -> ReferralEvent:
    """Return our event ``n`` as it may leave now: with all of its ``papers``, or without a word of them."""
    return retold(referral, n, papers if _may_leave(referral, n, papers, at, today) else wordless(papers))


def goes_whole(referral: Referral, n: int, papers: Papers, event: ReferralEvent) -> bool:
    """Tell whether ``event``, our ``n``-th as it leaves, says all that ``papers`` hold."""
    return readable(papers) and event == retold(referral, n, papers)


def says_words(referral: Referral, n: int) -> bool:
    """Tell whether our event ``n`` is one that may have words, so that the gate is asked and its papers are opened."""
    return STEPS[referral.lane(referral.side)[n - 1].step].words is not Words.NONE


def awaits_agreement(referral: Referral, n: int, at: datetime) -> bool:
    """Tell whether our event ``n``, which may wait, waits for an agreement: the gate is asked when there is one.

    It may not wait where it is owed itself, or something behind it is, proved or not: a receipt says that the door
    has it, and the partner hears it only after this one.
    """
    owed = any(STEPS[move.step].owed for move in referral.lane(referral.side)[n - 1 :])
    return not owed and _stands(referral, n, at)


def _may_leave(referral: Referral, n: int, papers: Papers, at: datetime, today: Today) -> bool:
    """Tell whether the words of our event ``n`` may leave now."""
    if not readable(papers):
        return False
    step = referral.lane(referral.side)[n - 1].step
    match STEPS[step].words:
        case Words.NONE:
            return True
        case Words.ALWAYS:
            return today.agreed
        case _:
            return today.agreed and _stands(referral, n, at) and _released(referral, step, papers, at, today)


def _stands(referral: Referral, n: int, at: datetime) -> bool:
    """Tell whether the referral still lets the words of our event ``n`` be said, whatever the gate says."""
    step, standing = referral.lane(referral.side)[n - 1].step, referral.standing
    if (referral.side, n) in standing.superseded:
        return False
    if step in FEEDBACK:
        return news_allowed(referral, at)
    return referral.is_open and standing.consent_withdrawn_at is None and not ended(referral.terms, at)


def _released(referral: Referral, step: Step, papers: Papers, at: datetime, today: Today) -> bool:
    """Tell whether the gate lets all that the ``papers`` of ``step`` rest on go, for one of the referral's purposes.

    What a receiver says rests on no grant of its own.
    """
    wanted, reason = rests_on(papers.items()), PaperName.IDENTITY_REASON in papers
    if referral.side is Side.RECEIVER or not wanted:
        return True
    file, to = today.file, today.to
    if to is None:
        return False
    stage = Stage.ACCEPTED if step in ONCE_ACCEPTED else Stage.DECIDING
    grounds = (Grounds(to, file.age, purpose, file.grants) for purpose in referral.terms.purposes)
    return any(release(wanted, each, stage=stage, identity_reason=reason, at=at).whole for each in grounds)
