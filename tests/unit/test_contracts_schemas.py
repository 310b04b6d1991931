"""The protocol's documents say what the code does: schemas, examples, the table, the rules of section 5."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from services.referral.domain.lanes import Lanes, Move, in_order
from services.referral.domain.life import HAPPENED, SAID_BY, STEPS, TABLE, Side
from services.referral.domain.refusals import Refused
from services.referral.domain.standing import standing_of
from shared.contracts.codes import Status, Step
from shared.contracts.event import EventId, encode
from shared.contracts.exchange import EVENTS, decode
from shared.contracts.schemas import FOLDER, documents, write
from tests.support.referrals import FRESH, NOON

PAGE = (FOLDER.parent / "events.md").read_text(encoding="utf-8")
EXAMPLES: list[dict[str, Any]] = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]


def test_the_committed_schemas_are_those_of_the_models() -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    stale = {name for name, text in (committed.items() ^ documents().items())}
    assert not stale, "to write them: .venv/bin/python -m shared.contracts.schemas"


def test_schemas_of_types_that_are_no_more_go(tmp_path: Path) -> None:
    (tmp_path / "referral.forgotten.v1.json").write_text("{}")
    write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == documents().keys()


def test_every_type_has_one_example() -> None:
    types = [example["type"] for example in EXAMPLES]
    assert types == [*(f"referral.{step.value}.v1" for step in EVENTS), "receipt.given.v1"]
    ids = [example["id"] for example in EXAMPLES]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["type"])
def test_an_example_keeps_to_its_schema_and_can_be_read(example: dict[str, Any]) -> None:
    schema = json.loads(documents()[f"{example['type']}.json"])
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(example)
    read = decode(json.dumps(example).encode())
    written = json.loads(encode(read))
    Draft202012Validator(schema).validate(written)
    assert decode(encode(read)) == read


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["type"])
def test_a_schema_allows_no_more_members_than_a_reader(example: dict[str, Any]) -> None:
    schema = Draft202012Validator(json.loads(documents()[f"{example['type']}.json"]))
    assert not schema.is_valid({**example, "more": 1})
    assert not schema.is_valid({**example, "data": {**example["data"], "more": 1}})
    assert not schema.is_valid({name: value for name, value in example.items() if name != "type"})


def rows() -> Iterator[tuple[str, str, str, str]]:
    """Yield the rows of section 3 as (from, step, side, to)."""
    section = PAGE.split("## 3.")[1].split("## 4.")[0]
    for line in [line for line in section.splitlines() if "|" in line][2:]:
        froms, event, by, to = (cell.strip() for cell in line.strip("|").split("|"))
        yield froms, "received" if event.startswith("receipt") else event.strip("`"), by, to


def test_the_table_on_the_page_is_the_table() -> None:
    """Rows of section 3, their states by name, against the table of the code."""
    listed: dict[tuple[str | None, str], tuple[str, str]] = {}
    for froms, step, by, to in rows():
        listed |= {(status, step): (by.split(",")[0], to) for status in _states(froms, step, listed)}
    sides = {Side.SENDER: "sender", Side.RECEIVER: "receiver", None: "receiver's intake"}
    assert listed == {
        (status.value if status else None, step.value): (sides[SAID_BY.get(step)], to.value)
        for (status, step), to in TABLE.items()
    }


def _states(froms: str, step: str, listed: dict[tuple[str | None, str], tuple[str, str]]) -> list[str | None]:
    """Return the states that a cell names, of which *any other* are those that the step has not been listed for."""
    if froms == "–":
        return [None]
    if froms == "any other":
        return [status.value for status in Status if (status.value, step) not in listed]
    return list(froms.split(", "))


def test_the_page_names_every_code_of_a_refusal_in_a_lane() -> None:
    section = PAGE.split("## 4.")[1].split("## 5.")[0]
    for code in (
        Refused.FORKED,
        Refused.UNKNOWN,
        Refused.NOT_THIS_SIDE,
        Refused.OTHER_CONVERSATION,
        Refused.SEEN_AHEAD,
        Refused.SEEN_BACK,
        Refused.NOT_IN_TABLE,
    ):
        assert f"`{code.value}`" in section


def happened() -> set[str]:
    """Return the steps that rule 3 of section 5 names."""
    rule = PAGE.split("## 5.")[1].split("4. If the table")[0].split("3. If both")[1]
    return set(re.findall(r"`([a-z-]+)`", rule))


def test_the_page_names_what_has_happened_in_the_world() -> None:
    assert happened() == HAPPENED


def test_the_orders_on_the_page_are_those_that_the_lanes_give() -> None:
    section = PAGE.split("## 5.")[1].split("## 6.")[0]
    senders, receivers, orders = (
        re.findall(rf"    {label} +(.*)", section) for label in ("sender's lane", "receiver's lane", "order")
    )
    assert len(senders) == len(receivers) == len(orders) == 2
    for sender, receiver, order in zip(senders, receivers, orders, strict=True):
        lanes = Lanes(_lane(sender), _lane(receiver))
        steps, state = re.fullmatch(r"(.*?) +state: (\w+)", order).groups()  # type: ignore[union-attr]
        standing = standing_of(lanes)
        void = standing.superseded
        told = [
            f"{move.step.value} (superseded)" if (s, n) in void else move.step.value for s, n, move in in_order(lanes)
        ]
        assert told == steps.split(" · ")
        assert standing.status is Status(state)


def _lane(line: str) -> tuple[Move, ...]:
    return tuple(
        Move(Step(step), EventId(next(FRESH)), NOON, int(seen)) for step, seen in re.findall(r"(\w+), seen (\d+)", line)
    )


def owed_by_partners() -> set[str]:
    """Return the steps that keys.md says are said and heard without an agreement."""
    keys = (FOLDER.parent / "keys.md").read_text(encoding="utf-8")
    return set(re.findall(r"`([a-z-]+)`", keys.split("happened or ends access: ")[1].split(", in codes")[0]))


def owed_by_the_desk() -> set[str]:
    """Return the steps that referral.md says are kept until they can be said."""
    desk = (FOLDER.parents[1] / "architecture" / "referral.md").read_text(encoding="utf-8")
    listed = re.split(r",\s", re.split(r"what ends\s+access \(", desk)[1].split(")")[0])
    return {name.replace("consent taken back", Step.CONSENT_WITHDRAWN.value) for name in listed}


def test_what_the_pages_say_is_owed_is_what_the_steps_say_is() -> None:
    owed = {step.value for step, traits in STEPS.items() if traits.owed}
    assert owed_by_partners() == owed
    assert owed_by_the_desk() == owed
