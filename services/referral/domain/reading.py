"""Reading personal data is an act: it is ruled on and written down like every other, before anything is shown."""

from services.referral.domain.access import closed_to_reader
from services.referral.domain.cases import Case
from services.referral.domain.referral import Referral
from services.referral.domain.reports import ReportFile
from services.referral.domain.ruling import Act, Ruling
from services.referral.domain.telling import entry
from shared.messaging.decision import Entry


def read_packet(referral: Referral, act: Act) -> Ruling[Referral]:
    """Let a member of staff open what was disclosed about a referral, or say why it may not be opened."""
    closed = closed_to_reader(referral, act.at)
    return Ruling.refused(closed) if closed is not None else Ruling(entries=(entry(referral, "read", act),))


def read_case(case: Case, act: Act) -> Ruling[Case]:
    """Let a member of staff open what a case holds."""
    return Ruling(entries=(Entry("case.read", act.by, case.id, act.at, case=case.id),))


def read_grants(case: Case, act: Act) -> Ruling[Case]:
    """Let a member of staff see what the person has allowed: to whom, and of what kinds."""
    return Ruling(entries=(Entry("grant.read", act.by, case.id, act.at, case=case.id),))


def read_report(report: ReportFile, act: Act) -> Ruling[ReportFile]:
    """Let a member of staff open a report."""
    return Ruling(entries=(Entry("report.read", act.by, report.id, act.at, case=report.folder),))
