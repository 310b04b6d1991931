"""What staff write into a case, category by category: a newer part stands beside the older one, never over it."""

from services.referral.domain.cases import Case
from services.referral.domain.ruling import Act, Paper, Ruling
from shared.contracts.codes import Category
from shared.contracts.personal import Personal
from shared.messaging.decision import Entry


def write_part(case: Case, category: Category, content: Personal, act: Act) -> Ruling[Case]:
    """Keep a new version of one category of a case."""
    written = Entry("case.written", act.by, case.id, act.at, {"category": category.value}, case.id)
    return Ruling(entries=(written,), papers=(Paper(case.id, case.id, category, content),))
