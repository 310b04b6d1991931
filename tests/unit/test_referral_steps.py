"""What a step needs besides its name: every place that must know it, so that a new one is told what it lacks."""

import ast
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from typing import Final, get_args

import pytest

from examples.partner_system import event_data as example_data
from examples.partner_system import lanes as example
from services.referral.domain.life import ONLY_HEARD, STEPS, TABLE, Side
from services.referral.domain.moves import codes_of, contents
from services.referral.domain.retelling import RETOLD
from shared.contracts.codes import Step
from shared.contracts.entries import EntryCode
from shared.contracts.event_data import EventData
from shared.contracts.exchange import EVENTS
from shared.contracts.facts import FactCode
from tests.architecture.tree import REPOSITORY
from tests.contract.test_referral_descriptions import SAID_BY_STAFF
from tests.e2e.test_two_nodes import COMMANDS as PLAYED
from tests.support.referrals import BY_STEP, data_of
from tests.unit.test_referral_possible import COMMANDS

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
    "its event in LifeEvent, shared/contracts/exchange.py": EVENTS.keys(),
    "what it says in EventData, shared/contracts/event_data.py": {
        step for step, event in EVENTS.items() if data_of(event) in SAID
    },
    "its way back in RETOLD, services/referral/domain/retelling.py": RETOLD.keys(),
    "an example in DATA, tests/support/referrals.py": BY_STEP.keys(),
    "its place in Step, examples/partner_system/lanes.py": {
        step.removeprefix("referral.").removesuffix(".v1") for step in example.Step
    },
}


DOMAIN: Final = "services/referral/domain"
ROUTES: Final = "services/referral/routes/referrals.py"


def functions(path: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield the functions of a file."""
    tree = ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))
    yield from (each for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))


def calls(function: ast.AST, *names: str) -> Iterator[ast.Call]:
    """Yield what ``function`` calls by one of these names."""
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in names:
            yield node


def commands() -> dict[str, Step]:
    """Return what each command says, by the command's name: an event is named as the third argument of ``say``."""
    events = {event.__name__: step for step, event in EVENTS.items()}
    return {
        f"{side}.{function.name}": events[ast.unparse(said.args[2])]
        for side in ("receiving", "sending")
        for function in functions(f"{DOMAIN}/{side}.py")
        for said in calls(function, "say")
    }


def routes() -> dict[str, Step]:
    """Return what each route says, by the last part of its path: it hands a command to ``_say`` or ``_disclose``."""
    said = commands()
    return {
        str(ast.literal_eval(path.args[0])).rpartition("/")[2]: said[ast.unparse(asked.args[3])]
        for function in functions(ROUTES)
        for asked in calls(function, "_say", "_disclose")
        if ast.unparse(asked.args[3]) in said
        for path in calls(ast.List(elts=function.decorator_list), "router.post")
    }


def known(rule: Callable[[EventData], object]) -> set[Step]:
    """Return the steps for which a rule of ``moves`` has an answer: it ends where it meets another."""
    found = set()
    for step, data in BY_STEP.items():
        with suppress(AssertionError):
            rule(data)
            found.add(step)
    return found


OF_WHAT_STAFF_SAY: Mapping[str, Collection[str]] = {
    f"its command, which returns what `say` returns, {DOMAIN}/receiving.py or {DOMAIN}/sending.py": commands().values(),
    f"its route, {ROUTES}": routes().values(),
    "its route's name in SAID_BY_STAFF, tests/contract/test_referral_descriptions.py": {
        step for name, step in routes().items() if name in SAID_BY_STAFF
    },
    "its command in COMMANDS, tests/e2e/test_two_nodes.py": {step for name, step in routes().items() if name in PLAYED},
    "its command in COMMANDS, tests/unit/test_referral_possible.py": COMMANDS.keys(),
}
OF_WHAT_IS_KEPT: Mapping[str, Collection[str]] = {
    f"its codes in `codes_of`, {DOMAIN}/moves.py": known(codes_of),
    f"its papers in `contents`, {DOMAIN}/moves.py": known(contents),
}
OF_WHAT_A_RECEIVER_SAYS: Mapping[str, Collection[str]] = {
    "what its data may hold in DATA, examples/partner_system/event_data.py": {
        step.removeprefix("referral.").removesuffix(".v1") for step in example_data.DATA
    },
}


def lacking(step: str) -> list[str]:
    """Return what a step of this name lacks. Staff hear of an offer as *received*, which only a receipt says."""
    wanted = dict(OF_EVERY_STEP)
    if step != Step.OFFERED:
        wanted |= OF_WHAT_STAFF_HEAR
    if step != Step.RECEIVED:
        wanted |= {**OF_WHAT_TRAVELS, **OF_WHAT_IS_KEPT}
    if step not in {Step.RECEIVED, Step.OFFERED, *ONLY_HEARD}:  # an offer is made about a case, and makes the referral
        wanted |= OF_WHAT_STAFF_SAY
    if step not in {each for each, traits in STEPS.items() if traits.said_by is Side.SENDER} | {Step.RECEIVED}:
        wanted |= OF_WHAT_A_RECEIVER_SAYS
    return [place for place, known in wanted.items() if step not in known]


PLACES: Final = {
    **OF_EVERY_STEP,
    **OF_WHAT_STAFF_HEAR,
    **OF_WHAT_TRAVELS,
    **OF_WHAT_IS_KEPT,
    **OF_WHAT_STAFF_SAY,
    **OF_WHAT_A_RECEIVER_SAYS,
}
_, _, _recipes = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("### A transition\n")
RECIPE: Final = _recipes.partition("### A fact within a node\n")[0]
"""How a transition and its event are added."""


@pytest.mark.parametrize("step", Step)
def test_a_step_lacks_nothing(step: Step) -> None:
    assert not lacking(step), "\n - ".join([f"{step.value} lacks", *lacking(step)])


def test_a_step_that_is_nowhere_is_told_all_that_it_lacks() -> None:
    assert set(lacking("nowhere")) == PLACES.keys()


@pytest.mark.parametrize("place", PLACES)
def test_the_recipe_names_every_place(place: str) -> None:
    _, _, files = place.rpartition(", ")
    for file in files.split(" or "):
        assert f"`{file}`" in RECIPE, f"CONTRIBUTING.md says nothing of {file} where it says what a step needs"
        assert (REPOSITORY / file).is_file()


def test_what_is_only_heard_is_said_by_nobody() -> None:
    assert ONLY_HEARD.isdisjoint({*commands().values(), *routes().values()})
