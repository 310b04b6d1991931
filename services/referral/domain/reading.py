"""Reading personal data is an act: it is ruled on and written down like every other, before anything is shown.

What must never happen: an offer has been read here, and its sender believes that nobody has.
"""

from dataclasses import replace

from services.referral.domain.access import closed_to_reader
from services.referral.domain.cases import Case
from services.referral.domain.facts import entry
from services.referral.domain.life import Side
from services.referral.domain.receiving import read_first
from services.referral.domain.referral import Referral
from services.referral.domain.reports import ReportFile
from services.referral.domain.ruling import Act, Ruling
from shared.contracts.codes import Status
from shared.contracts.entries import Entry, EntryCode
from shared.contracts.ids import StaffId


def read_packet(referral: Referral, act: Act) -> Ruling[Referral]:
    """Let ``act.by``, a member of staff, open what was disclosed about a referral, or say why it may not be opened.

    Whoever opens an offer has read it: the sender is told so in the same decision.
    """
    closed = closed_to_reader(referral, act.at)
    if closed is not None:
        return Ruling.refused(closed)
    read = entry(referral, EntryCode.REFERRAL_READ, act)
    if referral.side is Side.SENDER or referral.status is not Status.RECEIVED:
        return Ruling(entries=(read,))
    first = read_first(referral, act, StaffId(act.by))
    return replace(first, entries=(*first.entries, read))


def read_case(case: Case, act: Act) -> Ruling[Case]:
    """Let a member of staff open what a case holds."""
    return Ruling(entries=(Entry(EntryCode.CASE_READ, act.by, case.id, act.at, case=case.id),))


def read_grants(case: Case, act: Act) -> Ruling[Case]:
    """Let a member of staff see what the person has allowed: to whom, and of what kinds."""
    return Ruling(entries=(Entry(EntryCode.GRANT_READ, act.by, case.id, act.at, case=case.id),))


def read_report(report: ReportFile, act: Act) -> Ruling[ReportFile]:
    """Let a member of staff open a report."""
    return Ruling(entries=(Entry(EntryCode.REPORT_READ, act.by, report.id, act.at, case=report.folder),))
