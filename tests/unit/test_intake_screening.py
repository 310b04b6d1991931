"""Screening: total, cautious, and deaf to names and texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.domain.screening import EXPLOITATION_BY_WORK, Remit, Screened, ScreeningReason, screen
from services.intake.domain.turning import LINES_FR, lines_for
from shared.contracts.codes import AgeBand, CcemCriterion, Exploitation, Finding, IloIndicator, Reorientation, Verdict
from shared.contracts.report import Report
from tests.support.reports import report, reports

REMIT = Remit(EXPLOITATION_BY_WORK, "FR")
WEIGHT = {Verdict.OUT_OF_SCOPE: 0, Verdict.IN_SCOPE: 1, Verdict.URGENT: 2}
QUESTIONS = [
    *(("criteria", each.value) for each in CcemCriterion),
    *(("indicators", each.value) for each in IloIndicator),
    ("report", "immediate_danger"),
]


def screened(**changes: object) -> Screened:
    return screen(report(**changes), REMIT)


def answering(said: Report, group: str, name: str, finding: Finding) -> Report:
    """Return ``said`` with one answer changed."""
    if group == "report":
        return said.model_copy(update={name: finding})
    part = getattr(said, group).model_copy(update={name: finding})
    return said.model_copy(update={group: part})


def all_yes(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, "yes")


@given(reports())
def test_every_report_gets_a_verdict_with_a_reason(said: Report) -> None:
    found = screen(said, REMIT)
    assert found.reasons
    assert len(set(found.reasons)) == len(found.reasons)


@given(reports())
def test_whoever_is_sent_away_is_told_where_to_turn(said: Report) -> None:
    found = screen(said, REMIT)
    assert (found.verdict is Verdict.OUT_OF_SCOPE) == (found.reorientation is not None)
    kinds = [each.to for each in found.turn_to]
    assert len(set(kinds)) == len(kinds)


@given(reports())
def test_a_danger_is_answered_with_the_emergency_services_first(said: Report) -> None:
    found = screen(said, REMIT)
    kinds = [each.to for each in found.turn_to]
    if said.immediate_danger is Finding.YES:
        assert kinds[0] is Reorientation.EMERGENCY_SERVICES
        assert ScreeningReason.DANGER_NOW in found.reasons
    else:
        assert Reorientation.EMERGENCY_SERVICES not in kinds


@given(reports())
def test_a_child_is_always_seen(said: Report) -> None:
    child = said.person.age_band.is_child
    found = screen(said, REMIT)
    assert (Reorientation.CHILD_PROTECTION in [each.to for each in found.turn_to]) == child
    assert (ScreeningReason.CHILD in found.reasons) == child


@given(reports(), st.sampled_from(QUESTIONS))
def test_a_further_sign_never_makes_a_report_count_for_less(said: Report, question: tuple[str, str]) -> None:
    worse = answering(said, *question, Finding.YES)
    assert WEIGHT[screen(worse, REMIT).verdict] >= WEIGHT[screen(said, REMIT).verdict]


@given(reports(), st.sampled_from(QUESTIONS))
def test_not_knowing_never_counts_for_less_than_no(said: Report, question: tuple[str, str]) -> None:
    no, unknown = (answering(said, *question, finding) for finding in (Finding.NO, Finding.UNKNOWN))
    assert WEIGHT[screen(unknown, REMIT).verdict] >= WEIGHT[screen(no, REMIT).verdict]


@given(reports(), st.sampled_from([AgeBand.IN_DOUBT, AgeBand.CHILD, AgeBand.FROM_15_TO_17]))
def test_a_child_never_counts_for_less(said: Report, age: AgeBand) -> None:
    as_child = said.model_copy(update={"person": said.person.model_copy(update={"age_band": age})})
    assert WEIGHT[screen(as_child, REMIT).verdict] >= WEIGHT[screen(said, REMIT).verdict]


@given(reports(), st.text(min_size=1), st.text(min_size=1))
def test_names_places_and_texts_decide_nothing(said: Report, name: str, account: str) -> None:
    other = said.model_copy(
        update={
            "person": said.person.model_copy(update={"name": name, "nationality": "MA", "languages": ("ara",)}),
            "reporter": said.reporter.model_copy(update={"name": name, "organisation": name}),
            "situation": said.situation.model_copy(update={"account": account, "place": name}),
        }
    )
    assert screen(other, REMIT) == screen(said, REMIT)


def test_a_labour_dispute_goes_to_the_labour_inspectorate() -> None:
    found = screened(criteria=all_yes("no_or_insufficient_pay"), situation={"sectors": ["I"]})
    assert found.verdict is Verdict.OUT_OF_SCOPE
    assert found.reasons == (ScreeningReason.TOO_FEW_SIGNS,)
    assert found.reorientation is Reorientation.LABOUR_INSPECTORATE
    assert [line.number for line in found.turn_to[0].lines] == ["0 806 000 126"]


def test_unpaid_work_of_somebody_whose_papers_are_held_is_for_us() -> None:
    found = screened(criteria=all_yes("no_or_insufficient_pay", "confiscated_papers"))
    assert found.verdict is Verdict.IN_SCOPE
    assert ScreeningReason.WORK_AND_CONSTRAINT in found.reasons
    assert found.turn_to == ()


def test_one_sign_is_enough_where_a_form_in_our_remit_is_named() -> None:
    found = screened(criteria=all_yes("controlled_contacts"), situation={"forms": ["domestic_servitude"]})
    assert found.verdict is Verdict.IN_SCOPE
    assert ScreeningReason.FORM_IN_REMIT in found.reasons


def test_forced_begging_needs_no_sign_of_work() -> None:
    found = screened(criteria=all_yes("threats_or_violence"), situation={"forms": ["forced_begging"]})
    assert found.verdict is Verdict.IN_SCOPE


def test_one_sign_among_many_unknowns_is_not_turned_away() -> None:
    unknown = {each.value: "unknown" for each in IloIndicator}
    found = screened(criteria=all_yes("exorbitant_workload"), indicators=unknown)
    assert found.verdict is Verdict.IN_SCOPE
    assert ScreeningReason.NOT_ENOUGH_KNOWN in found.reasons


def test_nothing_known_and_nothing_named_is_out_of_scope() -> None:
    found = screened(
        criteria={each.value: "unknown" for each in CcemCriterion},
        indicators={each.value: "unknown" for each in IloIndicator},
    )
    assert found.verdict is Verdict.OUT_OF_SCOPE
    assert found.reasons == (ScreeningReason.NO_SIGN,)
    assert found.reorientation is Reorientation.LEGAL_ADVICE


def test_sexual_exploitation_is_for_those_who_are_there_for_it() -> None:
    found = screened(
        criteria=all_yes("threats_or_violence", "confiscated_papers", "controlled_contacts"),
        situation={"forms": ["sexual_exploitation"]},
    )
    assert found.verdict is Verdict.OUT_OF_SCOPE
    assert found.reorientation is Reorientation.OTHER_TRAFFICKING_ORGANISATION


def test_a_danger_now_is_looked_at_here_even_where_it_is_for_others() -> None:
    found = screened(immediate_danger="yes", urgency="immediate", situation={"forms": ["sexual_exploitation"]})
    assert found.verdict is Verdict.URGENT
    assert [each.to for each in found.turn_to][:2] == [
        Reorientation.EMERGENCY_SERVICES,
        Reorientation.OTHER_TRAFFICKING_ORGANISATION,
    ]


def test_a_danger_without_any_sign_of_exploitation_goes_to_the_emergency_services() -> None:
    found = screened(immediate_danger="yes", urgency="urgent")
    assert found.verdict is Verdict.OUT_OF_SCOPE
    assert found.reorientation is Reorientation.EMERGENCY_SERVICES


def test_a_child_who_is_still_exploited_is_urgent() -> None:
    found = screened(person={"age_band": "12_14"}, situation={"forms": ["forced_criminality"], "ongoing": "yes"})
    assert found.verdict is Verdict.URGENT
    assert found.reasons[0] is ScreeningReason.CHILD_STILL_EXPLOITED


def test_what_ended_long_ago_is_not_urgent_for_being_a_childs() -> None:
    found = screened(person={"age_band": "15_17"}, situation={"forms": ["child_labour"], "ongoing": "no"})
    assert found.verdict is Verdict.IN_SCOPE


def test_violence_at_home_goes_to_the_helpline_for_women() -> None:
    found = screened(criteria=all_yes("threats_or_violence"))
    assert found.reorientation is Reorientation.DOMESTIC_VIOLENCE
    assert "3919" in [line.number for line in found.turn_to[0].lines]


def test_a_man_is_not_sent_to_a_helpline_for_women() -> None:
    found = screened(criteria=all_yes("threats_or_violence"), person={"sex": "male"})
    assert found.reorientation is Reorientation.LEGAL_ADVICE
    assert "116 006" in [line.number for line in found.turn_to[0].lines]


def test_somebody_without_a_roof_is_told_of_115() -> None:
    found = screened(needs=["emergency_accommodation"])
    assert [(each.to, each.lines[0].number) for each in found.turn_to] == [(Reorientation.HOMELESSNESS, "115")]


@pytest.mark.parametrize("country", ["BE", "IS"])
def test_elsewhere_in_the_eea_there_is_112(country: str) -> None:
    assert [line.number for line in lines_for(Reorientation.EMERGENCY_SERVICES, country)] == ["112"]
    assert lines_for(Reorientation.HOMELESSNESS, country) == ()


def test_where_no_line_is_known_none_is_made_up() -> None:
    assert lines_for(Reorientation.EMERGENCY_SERVICES, "LB") == ()


def test_france_has_a_line_for_every_urgent_kind_of_help() -> None:
    for kind in (
        Reorientation.EMERGENCY_SERVICES,
        Reorientation.CHILD_PROTECTION,
        Reorientation.DOMESTIC_VIOLENCE,
        Reorientation.SEXUAL_VIOLENCE,
        Reorientation.HOMELESSNESS,
        Reorientation.LABOUR_INSPECTORATE,
    ):
        assert LINES_FR[kind]


def test_the_remit_is_the_organisations_own() -> None:
    shelter = Remit(frozenset({Exploitation.SEXUAL_EXPLOITATION}), "BE")
    said = report(criteria=all_yes("controlled_contacts"), situation={"forms": ["sexual_exploitation"]})
    assert screen(said, shelter).verdict is Verdict.IN_SCOPE
    assert ScreeningReason.ABROAD in screen(said, shelter).reasons
