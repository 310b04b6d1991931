"""What a step needs besides its name: every list that must know it, so that a new one is told what it lacks."""

from collections.abc import Collection, Mapping
from typing import get_args

import pytest

from examples.partner_system import lanes as example
from services.referral.domain.life import STEPS, TABLE
from services.referral.domain.retelling import RETOLD
from shared.contracts.codes import Step
from shared.contracts.entries import EntryCode
from shared.contracts.event_data import EventData
from shared.contracts.exchange import EVENTS, LifeEvent
from shared.contracts.facts import FactCode
from tests.support.referrals import BY_STEP, data_of

OF_EVERY_STEP: Mapping[str, Collection[str]] = {
    "a code in EntryCode, shared/contracts/entries.py": {code.removeprefix("referral.") for code in EntryCode},
    "a transition in TABLE, services/referral/domain/life.py": {step for _, step in TABLE},
}
OF_WHAT_STAFF_HEAR: Mapping[str, Collection[str]] = {
    "a code in FactCode, shared/contracts/facts.py": {code.removeprefix("referral.") for code in FactCode},
}
SAID = get_args(EventData)
OF_WHAT_TRAVELS: Mapping[str, Collection[str]] = {
    "its row in STEPS, services/referral/domain/life.py": STEPS.keys(),
    "an event with this step, shared/contracts/exchange.py": EVENTS.keys(),
    "its event in LifeEvent, shared/contracts/exchange.py": {event.step for event in get_args(LifeEvent)},
    "what it says in EventData, shared/contracts/event_data.py": {
        step for step, event in EVENTS.items() if data_of(event) in SAID
    },
    "its way back in RETOLD, services/referral/domain/retelling.py": RETOLD.keys(),
    "an example in DATA, tests/support/referrals.py": BY_STEP.keys(),
    "its place in Step, examples/partner_system/lanes.py": {
        step.removeprefix("referral.").removesuffix(".v1") for step in example.Step
    },
}


def lacking(step: str) -> list[str]:
    """Return what a step of this name lacks. Staff hear of an offer as *received*, which only a receipt says."""
    wanted = dict(OF_EVERY_STEP)
    if step != Step.OFFERED:
        wanted |= OF_WHAT_STAFF_HEAR
    if step != Step.RECEIVED:
        wanted |= OF_WHAT_TRAVELS
    return [place for place, known in wanted.items() if step not in known]


@pytest.mark.parametrize("step", Step)
def test_a_step_lacks_nothing(step: Step) -> None:
    assert not lacking(step), "\n - ".join([f"{step.value} lacks", *lacking(step)])


def test_a_step_that_is_nowhere_is_told_all_that_it_lacks() -> None:
    assert lacking("nowhere") == [*OF_EVERY_STEP, *OF_WHAT_STAFF_HEAR, *OF_WHAT_TRAVELS]
