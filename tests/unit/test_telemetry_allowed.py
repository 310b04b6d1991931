"""The allow-list lets codes, ids, counts and durations through, and no text that a person could have typed."""

import enum
import re
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.telemetry.allowed import ALLOWED, Kind, admit, admit_all, is_code, is_library, is_span_name
from tests.support.telemetry import CANARIES

ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.uuids(),
    st.timedeltas(),
    st.lists(st.text()),
    st.dictionaries(st.text(), st.text()),
    st.just(ValueError),
    st.just(object()),
)
LONG = "the-house-with-the-longest-of-all-ids-fr"
NO_WORD_OF_A_PROGRAM = re.compile(r"[A-Z\s@,;'\"+/<>()]|[^\x00-\x7f]")


class Colour(enum.StrEnum):
    """A closed list of some part of the program."""

    DARK_BLUE = "dark_blue"


@pytest.mark.parametrize("canary", CANARIES)
def test_no_personal_text_rides_in_an_allowed_key(canary: str) -> None:
    assert [key for key in ALLOWED if admit(key, canary) is not None] == []


@pytest.mark.parametrize("number", [33612345678, 612345678, 290057511600142, -1])
def test_no_telephone_number_is_a_count_or_a_duration(number: int) -> None:
    assert [key for key in ALLOWED if admit(key, number) is not None] == []


@given(st.sampled_from(sorted(ALLOWED)), st.text(min_size=1).filter(NO_WORD_OF_A_PROGRAM.search))
def test_text_with_a_capital_a_blank_or_an_accent_is_refused(key: str, text: str) -> None:
    said = admit(key, text)
    template = ALLOWED[key] is Kind.ROUTE and text.startswith("/")
    error = ALLOWED[key] is Kind.ERROR and said == text.rpartition(".")[2]
    method = text in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
    assert said is None or template or error or method


@given(st.text(), ANYTHING)
def test_nothing_ever_raises_and_only_plain_values_come_out(key: str, value: object) -> None:
    assert isinstance(admit(key, value), str | int | float | None)


@given(st.sampled_from(sorted(ALLOWED)), ANYTHING)
def test_what_is_admitted_is_admitted_again(key: str, value: object) -> None:
    said = admit(key, value)
    assert said is None or admit(key, said) == said


@given(st.text().filter(lambda key: key not in ALLOWED), ANYTHING)
def test_an_unknown_key_says_nothing(key: str, value: object) -> None:
    assert admit(key, value) is None


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("message_id", UUID("6f2c1a94-58f1-4c68-b0c5-0d2f64f0a1de"), "6f2c1a94-58f1-4c68-b0c5-0d2f64f0a1de"),
        ("organisation", "ccem-fr", "ccem-fr"),
        ("organisation", "la-maison-du-lac-be", "la-maison-du-lac-be"),
        ("digest", "ab" * 32, "ab" * 32),
        ("trace_id", "0" * 31 + "1", "0" * 31 + "1"),
        ("code", "envelope-altered", "envelope-altered"),
        ("code", "referral.accepted.v1", "referral.accepted.v1"),
        ("code", Colour.DARK_BLUE, "dark_blue"),
        ("queue", "to.abri-be", "to.abri-be"),
        ("queue", f"to.{LONG}.from.{LONG}", f"to.{LONG}.from.{LONG}"),
        ("count", 0, 0),
        ("size", 262_144, 262_144),
        ("seconds", timedelta(milliseconds=1500), 1.5),
        ("seconds", 3, 3.0),
        ("error", KeyError, "KeyError"),
        ("error", "KeyError", "KeyError"),
        ("error.type", "asyncio.exceptions.TimeoutError", "TimeoutError"),
        ("where", "shared.messaging.shell:112", "shared.messaging.shell:112"),
        ("route", "/referrals/{referral}/accept", "/referrals/{referral}/accept"),
        ("route", "/.well-known/relais/v1", "/.well-known/relais/v1"),
        ("method", "POST", "POST"),
    ],
)
def test_what_the_services_say_gets_through(key: str, value: object, said: object) -> None:
    assert admit(key, value) == said


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("count", True),
        ("count", 1.5),
        ("count", "1"),
        ("seconds", float("nan")),
        ("seconds", float("inf")),
        ("error", "Dupont"),
        ("error", int),
        ("error", ValueError("Aminata")),
        ("route", "/referrals/905b82cb-3cc4-4193-9817-d54290559bce"),
        ("route", "/people/aminata-diallo-1990"),
        ("route", "/referrals/{referral}?name=a"),
        ("code", "a" * 65),
        ("code", "-".join("abcdefghij")),
        ("organisation", "ccem"),
        ("queue", "to.abri-be.from.aminata diallo-fr"),
        ("queue", f"to.{LONG}.from.x{LONG}"),
        ("message_id", "1234"),
        ("code", ["envelope-altered"]),
    ],
)
def test_what_has_another_shape_does_not(key: str, value: object) -> None:
    assert admit(key, value) is None


@pytest.mark.parametrize("canary", CANARIES)
@pytest.mark.parametrize("is_name", [is_code, is_span_name, is_library])
def test_no_name_is_a_text(is_name: Callable[[str], bool], canary: str) -> None:
    assert not is_name(canary)


def test_a_known_exception_is_found_when_it_is_loaded_later() -> None:
    name = "FoundOnlyOnceItIsThereError"
    assert admit("error", name) is None
    made = type(name, (RuntimeError,), {})
    assert admit("error", name) == made.__name__


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("referral.accept", True),
        ("process referral.in", True),
        ("GET /referrals/{referral}", True),
        ("GET", True),
        ("GET /referrals/Aminata", False),
        ("accept the referral of Aminata", False),
        ("three code words", False),
        ("", False),
    ],
)
def test_a_span_name_is_of_the_closed_pattern(name: str, *, allowed: bool) -> None:
    assert is_span_name(name) is allowed


def test_many_pairs_at_once_say_what_they_may_and_how_many_they_dropped() -> None:
    said, dropped = admit_all({"code": "ok", "name": "Aminata", "count": "many", "case_id": None})
    assert (said, dropped) == ({"code": "ok"}, 2)
