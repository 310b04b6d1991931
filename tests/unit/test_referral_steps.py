"""What a step needs besides its name: every place that must know it, so that a new one is told what it lacks."""

import ast
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Final, get_args

import pytest

from examples.partner_system import event_data as example_data
from examples.partner_system import lanes as example
from examples.partner_system.emptied import emptied
from services.referral.domain.life import ONLY_HEARD, STEPS, TABLE, Side
from services.referral.domain.moves import codes_of, contents, has_words
from services.referral.domain.retelling import RETOLD
from services.referral.store.papers import MODELS
from shared.contracts.codes import Step
from shared.contracts.entries import EntryCode
from shared.contracts.event import type_of
from shared.contracts.event_data import EventData
from shared.contracts.exchange import EVENTS
from shared.contracts.facts import FactCode
from shared.contracts.heard import HEARD
from tests.architecture.tree import REPOSITORY
from tests.contract.test_partner_events import DATA as READ_ALIKE
from tests.contract.test_referral_descriptions import SAID_BY_STAFF
from tests.contract.test_released_events import RELEASED
from tests.e2e.test_two_nodes import COMMANDS as PLAYED
from tests.support.referrals import BY_STEP, data_of
from tests.unit.test_contracts_schemas import EXAMPLES, happened, owed_by_partners, owed_by_the_desk, rows
from tests.unit.test_notify_domain import FACTS
from tests.unit.test_referral_agreed import IN_CODES
from tests.unit.test_referral_possible import COMMANDS
from tests.unit.test_referral_table import CELLS, STEP_ROWS, drawn
from tests.unit.test_referral_table import PAGE as DRAWING

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


def without_words() -> set[Step]:
    """Return the steps of which the example leaves, without words, what an event may say, and every code."""
    found = set()
    for step, data in BY_STEP.items():
        with suppress(ValueError):
            theirs_ = emptied(example.Step(type_of(EVENTS[step])), data.model_dump(mode="json", exclude_none=True))
            left = type(data).model_validate(theirs_)
            if codes_of(left) == codes_of(data):
                found.add(step)
    return found


THEIRS: Final = "examples/partner_system"
PAGE: Final = "docs/protocol/events.md"


def theirs(steps: Iterable[example.Step]) -> set[str]:
    """Return steps of the example by the names that they have here."""
    return {step.removeprefix("referral.").removesuffix(".v1") for step in steps}


def tails(codes: Iterable[str]) -> set[str]:
    """Return the codes of steps without what stands before each."""
    return {code.removeprefix("referral.") for code in codes}


Places = Mapping[str, Collection[str]]
"""Which steps each place knows. A place ends in its file, or in two where either may have it."""

OF_EVERY_STEP: Places = {
    "a code in EntryCode, shared/contracts/entries.py": tails(EntryCode),
    f"a transition in TABLE, {DOMAIN}/life.py": {step for _, step in TABLE},
    "its arrows in the drawing, docs/architecture/referral-life.md": {
        step for _, step, _, _ in drawn(DRAWING.read_text(encoding="utf-8"))
    },
    f"its rows in section 3, {PAGE}": {step for _, step, _, _ in rows()},
}
OF_WHAT_STAFF_HEAR: Places = {
    "a code in FactCode, shared/contracts/facts.py": tails(FactCode),
    "whether it is mailed, in FACTS, tests/unit/test_notify_domain.py": tails(FACTS.split()),
}
OF_WHAT_TRAVELS: Places = {
    "its rows in TABLE and STEPS, tests/unit/test_referral_table.py": STEP_ROWS.keys() & {step for _, step in CELLS},
    f"its row in STEPS, {DOMAIN}/life.py": STEPS.keys(),
    "what it says in EventData, shared/contracts/event_data.py": {
        step for step, event in EVENTS.items() if data_of(event) in get_args(EventData)
    },
    "its event in LifeEvent, shared/contracts/exchange.py": EVENTS.keys(),
    "its type in LATER, shared/contracts/heard.py": {step for step, event in EVENTS.items() if type_of(event) in HEARD},
    "the digest of its schema in RELEASED, tests/contract/test_released_events.py": {
        step for step, event in EVENTS.items() if type_of(event) in RELEASED
    },
    "an example in DATA, tests/support/referrals.py": BY_STEP.keys(),
    f"its codes in `codes_of`, {DOMAIN}/moves.py": known(codes_of),
    f"its papers in `contents`, {DOMAIN}/moves.py": known(contents),
    f"each paper's model in KEPT_WHOLE or MODELS, {DOMAIN}/moves.py or services/referral/store/papers.py": {
        step for step in known(contents) if contents(BY_STEP[step]).keys() <= MODELS.keys()
    },
    f"its way back in RETOLD, {DOMAIN}/retelling.py": RETOLD.keys(),
    f"its description in section 6 with an example, {PAGE}": tails(
        each["type"].removesuffix(".v1") for each in EXAMPLES
    ),
    f"its place in Step, {THEIRS}/lanes.py": theirs(example.Step),
    f"its transitions in TABLE, {THEIRS}/lanes.py": theirs(step for _, step in example.TABLE),
}
ONCE_HEARD: Final = "once heard for a release (till then in ONLY_HEARD)"
OF_WHAT_STAFF_SAY: Places = {
    f"{ONCE_HEARD}: its command, which returns what `say` returns, {DOMAIN}/receiving.py or {DOMAIN}/sending.py": (
        commands().values()
    ),
    f"{ONCE_HEARD}: its route, {ROUTES}": routes().values(),
    f"{ONCE_HEARD}: its route's name in SAID_BY_STAFF, tests/contract/test_referral_descriptions.py": {
        step for name, step in routes().items() if name in SAID_BY_STAFF
    },
    f"{ONCE_HEARD}: its command in COMMANDS, tests/e2e/test_two_nodes.py": {
        step for name, step in routes().items() if name in PLAYED
    },
    f"{ONCE_HEARD}: its command in COMMANDS, tests/unit/test_referral_possible.py": COMMANDS.keys(),
}
OF_WHAT_A_RECEIVER_SAYS: Places = {
    f"if a receiver says it: what its data may hold in DATA, {THEIRS}/event_data.py": theirs(example_data.DATA),
    "if a receiver says it: data that may be and that may not in DATA, tests/contract/test_partner_events.py": {
        step for step, _ in READ_ALIKE
    },
}
OF_WHAT_A_SENDER_SAYS: Places = {
    f"if a sender says it: its place in SENDERS, {THEIRS}/lanes.py": theirs(example.SENDERS),
    f"if a sender says it: its codes in KEPT, its words in INSTEAD, {THEIRS}/emptied.py": without_words(),
}
OF_WHAT_HAPPENED: Places = {
    f"if it happened: its name in rule 3 of section 5, {PAGE}": happened(),
    f"if it happened: its place in HAPPENED, {THEIRS}/lanes.py": theirs(example.HAPPENED),
}
OF_WHAT_IS_OWED: Places = {
    "if it is owed: an example without a word in IN_CODES, tests/unit/test_referral_agreed.py": {
        step for step, data in IN_CODES.items() if not has_words(data)
    },
    f"if it is owed: its place in OWED, {THEIRS}/lanes.py": theirs(example.OWED),
    "if it is owed: its name in section 6, docs/protocol/keys.md": owed_by_partners(),
    "if it is owed: its name, docs/architecture/referral.md": owed_by_the_desk(),
}


def lacking(step: str) -> list[str]:
    """Return what a step of this name lacks. Staff hear of an offer as *received*, which only a receipt says.

    Of a step that has no row in ``STEPS`` yet, anything may be true.
    """
    traits = next((traits for each, traits in STEPS.items() if each == step), None)
    travels, said = step != Step.RECEIVED, step not in {Step.RECEIVED, Step.OFFERED, *ONLY_HEARD}
    wanted: list[tuple[Places, bool]] = [
        (OF_EVERY_STEP, True),
        (OF_WHAT_STAFF_HEAR, step != Step.OFFERED),
        (OF_WHAT_TRAVELS, travels),
        (OF_WHAT_STAFF_SAY, said),  # an offer is made about a case, and makes the referral
        (OF_WHAT_A_RECEIVER_SAYS, travels and (traits is None or traits.said_by is Side.RECEIVER)),
        (OF_WHAT_A_SENDER_SAYS, travels and (traits is None or traits.said_by is Side.SENDER)),
        (OF_WHAT_HAPPENED, travels and (traits is None or traits.happened)),
        (OF_WHAT_IS_OWED, travels and (traits is None or traits.owed)),
    ]
    return [place for places, holds in wanted if holds for place, known in places.items() if step not in known]


PLACES: Final = {
    **OF_EVERY_STEP,
    **OF_WHAT_STAFF_HEAR,
    **OF_WHAT_TRAVELS,
    **OF_WHAT_STAFF_SAY,
    **OF_WHAT_A_RECEIVER_SAYS,
    **OF_WHAT_A_SENDER_SAYS,
    **OF_WHAT_HAPPENED,
    **OF_WHAT_IS_OWED,
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
