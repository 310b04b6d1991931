"""What staff do in a case: open it, write into it, note what the person allows, and what they take back.

A newer part stands beside the older one, never over it; a grant is never changed but to mark when it was taken back.
"""

from dataclasses import replace
from datetime import datetime

from services.referral.domain.casefile import CaseFile
from services.referral.domain.cases import Case, opened
from services.referral.domain.grants import Grant
from services.referral.domain.life import Side
from services.referral.domain.refusals import Refused
from services.referral.domain.ruling import Act, Paper, Ruling
from services.referral.domain.sending import withdraw_consent
from shared.contracts.codes import Category
from shared.contracts.entries import Entry, EntryCode
from shared.contracts.ids import GrantId
from shared.contracts.personal import Personal


def open_case(case: Case) -> Ruling[Case]:
    """Open a case for somebody who came without a report or a referral."""
    return Ruling(state=case, entries=(opened(case),), opens=case)


def write_part(case: Case, act: Act, category: Category, content: Personal) -> Ruling[Case]:
    """Keep a new version of one category of a case."""
    written = Entry(EntryCode.CASE_WRITTEN, act.by, case.id, act.at, {"category": category.value}, case.id)
    return Ruling(entries=(written,), papers=(Paper(case.id, case.id, category, content),))


def record(grant: Grant) -> Ruling[Case]:
    """Keep a grant that was given."""
    return Ruling(grant=grant, entries=(_entry(EntryCode.GRANT_RECORDED, grant, grant.recorded_by, grant.recorded_at),))


def take_back(file: CaseFile, act: Act, grant: GrantId) -> Ruling[Case]:
    """Mark that the person has taken ``grant`` back, and let every holder of what it may have covered know.

    All that went to the grant's recipient is affected, under whichever grant it went: to take one of two grants back
    and keep the other going takes a new offer. Always possible; done again, it reaches what was offered since, and the
    time of the first is what counts.
    """
    given = next((each for each in file.grants if each.id == grant), None)
    if given is None:
        return Ruling.refused(Refused.NOT_FOUND)
    affected = (
        leg
        for leg in file.legs
        if leg.side is Side.SENDER and leg.receiver == given.recipient and leg.standing.consent_withdrawn_at is None
    )
    also = tuple(withdraw_consent(leg, act) for leg in affected)
    if given.withdrawn_at is not None:
        return Ruling(also=also)
    entry = _entry(EntryCode.GRANT_WITHDRAWN, given, act.by, act.at)
    return Ruling(grant=replace(given, withdrawn_at=act.at), entries=(entry,), also=also)


def _entry(code: EntryCode, grant: Grant, actor: str, at: datetime) -> Entry:
    detail = {
        "recipient": grant.recipient,
        "categories": " ".join(sorted(grant.categories)),
        "purposes": " ".join(sorted(grant.purposes)),
        "form": grant.form.value,
        "given_by": grant.given_by.value,
    }
    return Entry(code, actor, grant.id, at, detail, grant.case)
