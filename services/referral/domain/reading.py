"""Reading personal data is an act: it is ruled on and written down like every other, before anything is shown."""

from services.referral.domain.access import closed_to_reader
from services.referral.domain.cases import Case
from services.referral.domain.referral import Referral
from services.referral.domain.reports import ReportFile
from services.referral.domain.ruling import Act, Ruling
from services.referral.domain.telling import entry
from shared.messaging.decision import Decision, Entry


def read_packet(referral: Referral, act: Act) -> Ruling[Referral]:
    """Let a member of staff open what was disclosed about a referral, or say why it may not be opened."""
    closed = closed_to_reader(referral, act.at)
    return Ruling.refused(closed) if closed is not None else Ruling(entries=(entry(referral, "read", act),))


def read_case(case: Case, act: Act) -> Decision[Case]:
    """Let a member of staff open what a case holds."""
    return Decision(entries=(Entry("case.read", act.by, case.id, act.at, case=case.id),))


def read_report(report: ReportFile, act: Act) -> Decision[ReportFile]:
    """Let a member of staff open a report."""
    return Decision(entries=(Entry("report.read", act.by, report.id, act.at, case=report.folder),))
