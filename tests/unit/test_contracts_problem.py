"""Every field that is wrong is named, with a stable code, and nothing that was typed comes back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import dictionaries, recursive, text
from pydantic import ValidationError

from shared.contracts.problem import FieldProblem, field_problems, problem_type
from shared.contracts.report import Report
from tests.support.reports import report_json

CANARY = "kanarienvogel"


def problems(body: Any) -> set[tuple[str, str]]:  # noqa: ANN401 - as JSON has it
    """Return what is wrong with a report, as (field, code)."""
    with pytest.raises(ValidationError) as caught:
        Report.model_validate(body)
    return {(problem.pointer, problem.code) for problem in field_problems(caught.value.errors())}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (report_json(urgency=CANARY), {("/urgency", "not-in-list")}),
        (report_json(urgency=1), {("/urgency", "not-in-list")}),
        (report_json(consents_to_record=False), {("/consents_to_record", "not-in-list")}),
        (report_json(**{CANARY: CANARY}), {("", "unknown-field")}),
        (report_json(person={CANARY: CANARY}), {("/person", "unknown-field")}),
        (report_json(needs=["medical", CANARY]), {("/needs/1", "not-in-list")}),
        (report_json(needs=CANARY), {("/needs", "wrong-type")}),
        (report_json(situation={"country": "ZZ"}), {("/situation/country", "country-unknown")}),
        (report_json(situation={"country": "France"}), {("/situation/country", "wrong-form")}),
        (report_json(situation={"account": ""}), {("/situation/account", "too-short")}),
        (report_json(situation={"account": "a" * 20_001}), {("/situation/account", "too-long")}),
        (report_json(situation={"began": CANARY}), {("/situation/began", "wrong-form")}),
        (report_json(person={"languages": ["fr"]}), {("/person/languages/0", "wrong-form")}),
        (report_json(person={"languages": ["fra"] * 11}), {("/person/languages", "too-long")}),
        (
            report_json(immediate_danger="yes"),
            {("/immediate_danger", "danger-without-urgency"), ("/urgency", "danger-without-urgency")},
        ),
        (
            report_json(reporter={"kind": "neighbour", "call_back": True}),
            {(f"/reporter/{name}", "call-back-without-contact") for name in ("call_back", "telephone", "email")},
        ),
        (
            report_json(situation={"began": "2026-02-01", "ended": "2026-01-01"}),
            {("/situation/began", "ended-before-began"), ("/situation/ended", "ended-before-began")},
        ),
    ],
)
def test_each_field_is_named_with_its_code(body: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    assert problems(body) == expected


def test_all_that_is_missing_is_named_at_once() -> None:
    found = problems({"criteria": {}, "person": {"sex": "female"}})
    assert {
        ("/reporter", "missing"),
        ("/person/age_band", "missing"),
        ("/criteria/confiscated_papers", "missing"),
    } <= found
    assert len([field for field, _ in found if field.startswith("/criteria/")]) == 7


def test_what_is_no_json_is_said_once() -> None:
    with pytest.raises(ValidationError) as caught:
        Report.model_validate_json("{" + CANARY)
    assert field_problems(caught.value.errors()) == (FieldProblem(pointer="", code="not-json"),)


def test_where_a_field_came_from_over_http_is_left_out() -> None:
    errors = [{"type": "missing", "loc": ("body", "person", "age_band"), "input": CANARY, "msg": CANARY}]
    assert field_problems([*errors, *errors]) == (FieldProblem(pointer="/person/age_band", code="missing"),)


@given(recursive(text(), lambda inner: dictionaries(text(), inner, max_size=3), max_leaves=8))
def test_nothing_typed_comes_back(typed: Any) -> None:  # noqa: ANN401 - anything
    body = report_json(person={"name": typed, f"{CANARY}{typed!r}": typed}, needs=[f"{CANARY}{typed!r}"])
    shown = repr(problems(body))
    assert CANARY not in shown


def test_a_problem_is_named_by_a_urn() -> None:
    assert problem_type("not-found") == "urn:relais:problem:not-found"
    with pytest.raises(ValidationError):
        FieldProblem(pointer="/x", code="Not A Code")
