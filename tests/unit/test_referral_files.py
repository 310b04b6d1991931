"""Reports, cases and grants: what becomes of each, and that nothing settled is settled twice."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.referral.domain.casefile import CaseFile
from services.referral.domain.cases import Case
from services.referral.domain.casework import open_case, record, take_back
from services.referral.domain.refusals import Refused
from services.referral.domain.reports import ReportFile, ReportStatus, hear_report, link, reorient
from services.referral.domain.reports import open_case as open_case_for
from services.referral.domain.ruling import PaperName, Ruling
from shared.contracts.codes import Reorientation, Verdict
from shared.contracts.event import EventId
from shared.contracts.facts import Audience, Fact, FactCode
from shared.contracts.ids import CaseId, OrganisationId, ReportId
from shared.contracts.report import ReportTaken, ReportTakenData, Screening
from tests.support.referrals import CANARY, FRESH, NOON, NOOR, SENDER, act, grant
from tests.support.reports import report

FOLDER = CaseId(next(FRESH))


def taken(by: OrganisationId = SENDER) -> ReportTaken:
    """Return what intake says of a report."""
    screening = Screening(verdict=Verdict.IN_SCOPE, criteria_met=frozenset(), indicators_met=frozenset())
    data = ReportTakenData(report=report(), screening=screening)
    return ReportTaken(id=EventId(next(FRESH)), at=NOON, report=ReportId(next(FRESH)), by=by, data=data)


def waiting() -> ReportFile:
    """Return a report that waits."""
    ruling = hear_report(None, taken(), SENDER, act(), FOLDER)
    assert ruling.state is not None
    return ruling.state


def test_a_report_is_kept_in_a_folder_of_its_own_and_the_caseworkers_are_told() -> None:
    event = taken()
    ruling = hear_report(None, event, SENDER, act(), FOLDER)
    assert ruling.state == ReportFile(event.report, FOLDER, event.data.report.urgency, Verdict.IN_SCOPE, NOON)
    (paper,) = ruling.papers
    assert (paper.case, paper.about, paper.name, paper.content) == (FOLDER, event.report, PaperName.REPORT, event.data)
    (fact,) = ruling.says
    assert isinstance(fact, Fact)
    assert (fact.code, fact.audience, fact.subject) == (FactCode.REPORT_TAKEN, Audience.CASEWORKERS, event.report)
    assert [entry.code for entry in ruling.entries] == ["report.taken"]
    assert event.data.report.situation.account not in repr(ruling)


def test_a_report_is_heard_once_and_from_ones_own_intake_only() -> None:
    known = waiting()
    assert hear_report(known, taken(), SENDER, act(), FOLDER) == Ruling()
    foreign = hear_report(None, taken(OrganisationId("autre-fr")), SENDER, act(), FOLDER)
    assert foreign == Ruling.refused(Refused.UNKNOWN)


def test_a_case_opened_for_a_report_takes_its_folder_over() -> None:
    report_file = waiting()
    ruling = open_case_for(report_file, act())
    assert ruling.opens == Case(FOLDER, NOON, NOOR, report_file.id)
    assert ruling.state == replace(report_file, status=ReportStatus.IN_CASE, case=FOLDER)
    assert [(entry.code, entry.case) for entry in ruling.entries] == [
        ("case.opened", FOLDER),
        ("report.linked", FOLDER),
    ]


def test_a_report_is_linked_to_a_case_that_is_there() -> None:
    case = CaseId(next(FRESH))
    ruling = link(waiting(), act(), case)
    assert ruling.state is not None
    assert (ruling.state.case, ruling.state.folder, ruling.opens) == (case, FOLDER, None)


def test_a_report_out_of_scope_is_sent_somewhere() -> None:
    ruling = reorient(waiting(), act(), Reorientation.TRADE_UNION)
    assert ruling.state is not None
    assert (ruling.state.status, ruling.state.reoriented_to) == (ReportStatus.REORIENTED, Reorientation.TRADE_UNION)


@pytest.mark.parametrize("settled", [ReportStatus.IN_CASE, ReportStatus.REORIENTED])
def test_what_is_settled_is_not_settled_again(settled: ReportStatus) -> None:
    report_file = replace(waiting(), status=settled)
    refused: Ruling[ReportFile] = Ruling.refused(Refused.REPORT_SETTLED, status=settled.value)
    assert open_case_for(report_file, act()) == refused
    assert link(report_file, act(), FOLDER) == refused
    assert reorient(report_file, act(), Reorientation.ASYLUM) == refused


def test_a_case_can_be_opened_for_somebody_who_just_comes() -> None:
    case = Case(FOLDER, NOON, NOOR)
    decision = open_case(case)
    assert (decision.state, decision.opens) == (case, case)
    assert [(entry.code, entry.subject, entry.detail) for entry in decision.entries] == [("case.opened", FOLDER, {})]


def test_a_grant_is_recorded_and_taken_back_once() -> None:
    given = grant()
    recorded = record(given)
    assert recorded.grant == given
    assert recorded.entries[0].detail["form"] == "interpreter"
    later = NOON + timedelta(hours=1)
    withdrawn = take_back(CaseFile((given,)), act(at=later), given.id)
    assert withdrawn.grant == replace(given, withdrawn_at=later)
    assert [entry.code for entry in withdrawn.entries] == ["grant.withdrawn"]
    again = take_back(CaseFile((withdrawn.grant,)), act(at=later + timedelta(hours=1)), given.id)
    assert again == Ruling()
    assert CANARY not in repr(recorded)


def test_a_grant_that_the_case_does_not_hold_is_not_found() -> None:
    assert take_back(CaseFile((grant(),)), act(), grant().id) == Ruling.refused(Refused.NOT_FOUND)
