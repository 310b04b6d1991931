"""What staff write into a case, category by category: a newer part stands beside the older one, never over it.

Only what was written here is cut into packets. What a partner has disclosed stays under that partner's terms and is
passed on by no grant of ours.
"""

from collections.abc import Mapping
from typing import Any

from services.referral.domain.cases import Case
from services.referral.domain.refusals import Refused
from services.referral.domain.ruling import Act, Paper, Ruling
from shared.contracts.codes import Category
from shared.contracts.packet import Packet
from shared.contracts.personal import Personal
from shared.messaging.decision import Entry


def write_part(case: Case, category: Category, content: Personal, act: Act) -> Ruling[Case]:
    """Keep a new version of one category of a case."""
    written = Entry("case.written", act.by, case.id, act.at, {"category": category.value}, case.id)
    return Ruling(entries=(written,), papers=(Paper(case.id, case.id, category, content),))


def cut(parts: Mapping[Category, Personal], wanted: frozenset[Category]) -> Packet | Ruling[Any]:
    """Return a packet of exactly what is ``wanted``, or a refusal that names what the case does not hold."""
    lacking = sorted(wanted - parts.keys())
    if lacking:
        return Ruling.refused(Refused.NOT_IN_CASE, **dict.fromkeys(lacking, "missing"))
    return Packet.model_validate({category.value: parts[category] for category in wanted})
