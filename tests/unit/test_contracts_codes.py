"""The closed lists say as many things as their sources do, and the parts of the contracts name them alike."""

import re

import pytest
from babel import Locale

from shared.contracts.codes import (
    AgeBand,
    Category,
    CcemCriterion,
    Exploitation,
    IloIndicator,
    MeansOfControl,
    Need,
    Sector,
    Step,
)
from shared.contracts.countries import COUNTRIES, EEA
from shared.contracts.exchange import EVENTS
from shared.contracts.facts import FactCode
from shared.contracts.packet import IDENTIFYING, Packet
from shared.contracts.report import Criteria, Indicators


@pytest.mark.parametrize(
    ("codes", "count"),
    [(MeansOfControl, 16 + 2), (IloIndicator, 11), (CcemCriterion, 7), (Sector, 21), (Exploitation, 12), (Need, 19)],
)
def test_each_list_is_as_long_as_its_source(codes: type, count: int) -> None:
    assert len(codes) == count  # type: ignore[arg-type]


def test_sectors_are_the_sections_of_isic() -> None:
    assert "".join(Sector) == "ABCDEFGHIJKLMNOPQRSTU"


def test_answers_are_named_as_the_lists_are() -> None:
    assert list(Criteria.model_fields) == list(CcemCriterion)
    assert list(Indicators.model_fields) == list(IloIndicator)
    assert list(Packet.model_fields) == list(Category)


def test_a_step_an_event_and_a_fact_have_one_name() -> None:
    assert set(EVENTS) == set(Step) - {Step.RECEIVED}
    for step, model in EVENTS.items():
        assert model.model_fields["type"].default == f"referral.{step.value}.v1"
    facts = {code.value for code in FactCode}
    assert {f"referral.{step.value}" for step in Step if step is not Step.OFFERED} <= facts


def test_doubt_about_age_counts_as_a_child() -> None:
    assert AgeBand.IN_DOUBT.is_child
    assert [band.value for band in AgeBand if band.is_child] == ["0_11", "12_14", "15_17", "child", "in_doubt"]


def test_countries_are_those_that_have_a_name() -> None:
    named = {str(code) for code in Locale("en").territories if re.fullmatch("[A-Z]{2}", str(code))}
    assert len(COUNTRIES) == 249 + 1
    assert named >= COUNTRIES
    assert named - COUNTRIES == {"AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "ZZ"}
    assert len(EEA) == 27 + 3
    assert EEA <= COUNTRIES


def test_what_can_say_who_it_is_waits_for_acceptance() -> None:
    assert set(Category) - IDENTIFYING == {Category.SUMMARY, Category.HEALTH, Category.EXPLOITATION, Category.RISK}
