"""The example referrals are what the protocol asks for, varied, and about nobody; the program owes us nothing."""

import ast
import json
import sys
import unicodedata
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from jsonschema import Draft202012Validator

from examples.partner_system.lanes import Step
from examples.partner_system.referral_file import ReferralFile
from shared.contracts.codes import AgeBand, ReferralKind, Urgency
from shared.contracts.exchange import decode

REPOSITORY = Path(__file__).parents[2]
REFERRALS = sorted((REPOSITORY / "examples" / "referrals").glob("*.json"))
SCHEMAS = REPOSITORY / "docs" / "protocol" / "schemas"
PROGRAM = sorted((REPOSITORY / "examples" / "partner_system").glob("*.py"))
MAY_IMPORT = sys.stdlib_module_names | {"aio_pika", "cryptography", "httpx"}
TODAY = date(2026, 11, 24)
"""The day on which the stories stand."""
YEARS = {
    AgeBand.FROM_0_TO_11: (0, 11),
    AgeBand.FROM_12_TO_14: (12, 14),
    AgeBand.FROM_15_TO_17: (15, 17),
    AgeBand.FROM_18_TO_20: (18, 20),
    AgeBand.FROM_21_TO_24: (21, 24),
    AgeBand.FROM_25_TO_34: (25, 34),
    AgeBand.FROM_35_TO_44: (35, 44),
    AgeBand.FROM_45_TO_59: (45, 59),
    AgeBand.FROM_60: (60, 120),
}


def stated(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


ALL = [stated(path) for path in REFERRALS]
SUMMARIES = [referral["offer"]["packet"]["summary"] for referral in ALL]


def events(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the events that would be made of a file."""
    file = ReferralFile.load(path)
    bodies = [(Step.OFFERED, file.offer), *((step, data) for step, said in file.prepared.items() for data in said)]
    for n, (step, data) in enumerate(bodies, start=1):
        ids = {name: str(uuid4()) for name in ("id", "conversation", "referral")}
        at = datetime.now(UTC)
        said = file.with_terms(data, at)
        yield {"type": step, **ids, "at": at.isoformat(), "n": n, "seen": n - 1, "data": said}


def texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for each in value.values():
                yield from texts(each)
        case list():
            for each in value:
                yield from texts(each)


def names() -> list[str]:
    return [text for referral in ALL for text in texts(referral["disclosure"]["packet"]["identity"])]


@pytest.mark.parametrize("path", REFERRALS, ids=lambda path: path.stem)
def test_a_referral_is_what_the_protocol_asks_for(path: Path) -> None:
    for event in events(path):
        schema = json.loads((SCHEMAS / f"{event['type']}.json").read_text())
        Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(event)
        decode(json.dumps(event).encode())


@pytest.mark.parametrize("path", REFERRALS, ids=lambda path: path.stem)
def test_an_age_is_that_of_its_band(path: Path) -> None:
    referral = stated(path)
    born = referral["disclosure"]["packet"]["identity"].get("born")
    band = YEARS.get(AgeBand(referral["offer"]["packet"]["summary"]["age_band"]))
    if born and band:
        day = date.fromisoformat(born)
        years = TODAY.year - day.year - ((TODAY.month, TODAY.day) < (day.month, day.day))
        assert band[0] <= years <= band[1]


def test_there_are_enough_and_none_twice() -> None:
    assert len(ALL) >= 40
    assert len({referral["reference"] for referral in ALL}) == len(ALL)
    assert len({referral["disclosure"]["packet"]["narrative"]["account"] for referral in ALL}) == len(ALL)


def test_they_are_varied() -> None:
    exploited = [referral["offer"]["packet"]["exploitation"] for referral in ALL]
    assert len({form for record in exploited for form in record["forms"]}) >= 8
    assert len({sector for record in exploited for sector in record.get("sectors", [])}) >= 8
    assert len({language for summary in SUMMARIES for language in summary["languages"]}) >= 12
    assert len({summary["country"] for summary in SUMMARIES}) >= 5
    assert len({need for summary in SUMMARIES for need in summary["needs"]}) >= 15
    assert {referral["offer"]["urgency"] for referral in ALL} == set(Urgency)
    assert {referral["offer"]["kind"] for referral in ALL} == set(ReferralKind)
    assert {"female", "male", "other", "unknown"} == {summary["sex"] for summary in SUMMARIES}
    assert any(record.get("exploiter") == "diplomatic_household" for record in exploited)
    assert any(record.get("criteria") for record in exploited)
    assert any(record.get("indicators") for record in exploited)


def test_there_are_children_and_old_people_and_children_who_come_along() -> None:
    bands = {AgeBand(summary["age_band"]) for summary in SUMMARIES}
    assert {
        AgeBand.FROM_0_TO_11,
        AgeBand.FROM_12_TO_14,
        AgeBand.FROM_15_TO_17,
        AgeBand.IN_DOUBT,
        AgeBand.FROM_60,
    } <= bands
    assert sum(summary.get("children", 0) > 0 for summary in SUMMARIES) >= 4
    assert sum("avoid_areas" in summary or "avoid" in summary for summary in SUMMARIES) >= 10


@pytest.mark.parametrize(
    "script",
    ["ARABIC", "HEBREW", "CYRILLIC", "ETHIOPIC", "BENGALI", "DEVANAGARI", "CJK", "GEORGIAN", "ARMENIAN", "THAI"],
)
def test_there_are_names_in_many_scripts(script: str) -> None:
    assert any(unicodedata.name(letter, "").startswith(script) for name in names() for letter in name)


def test_there_are_names_from_right_to_left_and_with_accents() -> None:
    assert sum(any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in name) for name in names()) >= 4
    assert any(letter in "ễịụảầ" for name in names() for letter in unicodedata.normalize("NFC", name))


def test_nobody_is_called_a_victim() -> None:
    for path in REFERRALS:
        assert "victim" not in path.name + path.read_text(encoding="utf-8").lower()


def test_nobody_is_named_before_acceptance_without_a_reason() -> None:
    for referral in ALL:
        named = "identity" in referral["offer"]["packet"]
        assert named == ("identity_reason" in referral["offer"])


@pytest.mark.parametrize("path", PROGRAM, ids=lambda path: path.name)
def test_the_program_imports_nothing_of_ours(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert {alias.name.partition(".")[0] for alias in node.names} <= MAY_IMPORT
        if isinstance(node, ast.ImportFrom):
            assert node.level == 1 or str(node.module).partition(".")[0] in MAY_IMPORT
