"""What goes on about a referral whose case was erased here: what its partner is owed, in codes alone.

Without the key nothing personal can be read or kept, and nothing of the kind is needed to say that the person takes
consent back, that they came, how it ended. The lane and the receipts hold codes and times, in clear.

What must never happen: a partner goes on holding what the person has taken back, because our own copy was erased first;
somebody says that they have read what nobody can read any more.
"""

from dataclasses import replace

from services.referral.domain.life import IN_TERMS, STEPS
from services.referral.domain.moves import has_words
from services.referral.domain.referral import Referral
from services.referral.domain.refusals import Refused
from services.referral.domain.ruling import Ruling, Tell


def in_codes(ruling: Ruling[Referral]) -> Ruling[Referral]:
    """Return ``ruling`` as it holds without the key of its case, or refuse it where it needs that: as erased.

    Its entries belong to no case. What is said again says no more than its codes, because its papers are gone.
    """
    reads = ruling.state is None and ruling.entries
    if ruling.refusal is not None or reads or not all(map(_goes, ruling.tells)):
        return Ruling.refused(Refused.ERASED)
    return replace(ruling, entries=tuple(line._replace(case=None) for line in ruling.entries), papers=())


def _goes(tell: Tell) -> bool:
    """Tell whether it is said again, or has happened or ends access, and says so in codes, with nothing read."""
    step = tell.event.step
    return tell.again or (STEPS[step].owed and step not in IN_TERMS and not has_words(tell.event.data))
