"""Reports for tests: one that says little, which a test makes say more, and any that the contract allows."""

from typing import Any

from hypothesis import strategies as st

from shared.contracts.codes import AgeBand, CcemCriterion, Finding, IloIndicator
from shared.contracts.report import Criteria, Indicators, Report

SILENT: dict[str, Any] = {
    "reporter": {"kind": "social_worker"},
    "person": {"age_band": "25_34", "sex": "female"},
    "situation": {"country": "FR", "account": "Une personne parle d'un employeur."},
    "criteria": {criterion.value: "no" for criterion in CcemCriterion},
    "indicators": {indicator.value: "no" for indicator in IloIndicator},
    "needs": [],
    "urgency": "standard",
    "immediate_danger": "no",
    "consents_to_record": True,
}
"""A report in which every question was answered *no*."""


def report_json(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - as JSON has it
    """Return :data:`SILENT` with ``changes``; a dictionary changes the members that it names."""
    said = {**SILENT, **{name: value for name, value in changes.items() if not isinstance(value, dict)}}
    for name, value in changes.items():
        if isinstance(value, dict):
            said[name] = {**SILENT[name], **value}
    return said


def report(**changes: Any) -> Report:  # noqa: ANN401 - as JSON has it
    """Return the report that :func:`report_json` spells."""
    return Report.model_validate(report_json(**changes))


def answers(names: list[str]) -> st.SearchStrategy[dict[str, str]]:
    """Draw a finding for each name."""
    return st.fixed_dictionaries({name: st.sampled_from([each.value for each in Finding]) for name in names})


@st.composite
def reports(draw: st.DrawFn) -> Report:
    """Draw any report that has a meaning; the texts are always the same."""
    danger = draw(st.sampled_from(Finding))
    urgencies = ["urgent", "immediate"] if danger is Finding.YES else ["standard", "urgent", "immediate"]
    listed = {
        name: draw(st.lists(st.sampled_from(codes), max_size=3, unique=True))
        for name, codes in (
            ("forms", _codes("Exploitation")),
            ("sectors", _codes("Sector")),
            ("control", _codes("MeansOfControl")),
        )
    }
    return Report.model_validate(
        report_json(
            person={"age_band": draw(st.sampled_from(AgeBand)), "sex": draw(st.sampled_from(_codes("Sex")))},
            situation={
                "country": draw(st.sampled_from(["FR", "BE", "LB"])),
                "ongoing": draw(st.sampled_from(Finding)),
                "diplomatic_household": draw(st.sampled_from(Finding)),
                **listed,
            },
            criteria=draw(answers(list(Criteria.model_fields))),
            indicators=draw(answers(list(Indicators.model_fields))),
            needs=draw(st.lists(st.sampled_from(_codes("Need")), max_size=3, unique=True)),
            urgency=draw(st.sampled_from(urgencies)),
            immediate_danger=danger,
        )
    )


def _codes(name: str) -> list[str]:
    from shared.contracts import codes  # noqa: PLC0415 - the lists are looked up by name, here only

    return [each.value for each in getattr(codes, name)]
