"""What a status needs besides its name: every place that must know it, so that a new one is told what it lacks."""

from collections.abc import Collection, Mapping
from typing import Final

import pytest

from examples.partner_system import lanes as example
from services.referral.domain.life import STATUSES, TABLE
from shared.contracts.codes import Status
from tests.architecture.tree import REPOSITORY
from tests.support.referral_pairs import PATHS
from tests.unit.test_contracts_schemas import rows
from tests.unit.test_referral_table import CELLS, PAGE, STATUS_ROWS, drawn

LIFE: Final = "services/referral/domain/life.py"
EVENTS: Final = "docs/protocol/events.md"
LANES: Final = "examples/partner_system/lanes.py"

PLACES: Final[Mapping[str, Collection[str]]] = {
    "its row in STATUSES, tests/unit/test_referral_table.py": STATUS_ROWS.keys(),
    "a row in TABLE that leads to it, tests/unit/test_referral_table.py": {
        to for (status, step), (_, to) in CELLS.items() if status != to
    }
    | {Status.RECEIVED},  # the receipt leads there, which nobody says
    f"its row in STATUSES, {LIFE}": STATUSES.keys(),
    f"a step that leads to it in TABLE, {LIFE}": {to for (status, _), to in TABLE.items() if status != to},
    "a way to it in PATHS, tests/support/referral_pairs.py": PATHS.keys(),
    "an arrow to it in the drawing, docs/architecture/referral-life.md": {
        to for _, _, _, to in drawn(PAGE.read_text(encoding="utf-8"))
    },
    f"a row that leads to it in section 3, {EVENTS}": {to for _, _, _, to in rows()},
    f"its place in State, {LANES}": set(example.State),
    f"a step that leads to it in TABLE, {LANES}": {*example.TABLE.values(), Status.RECEIVED},
}
_, _, _recipes = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("### A status\n")
RECIPE: Final = _recipes.partition("\n### ")[0]


def lacking(status: str) -> list[str]:
    """Return what a status of this name lacks."""
    return [place for place, known in PLACES.items() if status not in known]


@pytest.mark.parametrize("status", Status)
def test_a_status_lacks_nothing(status: Status) -> None:
    assert not lacking(status), "\n - ".join([f"{status.value} lacks", *lacking(status)])


def test_a_status_that_is_nowhere_is_told_all_that_it_lacks() -> None:
    assert lacking("nowhere") == list(PLACES)


@pytest.mark.parametrize("place", PLACES)
def test_the_recipe_names_every_place(place: str) -> None:
    file = place.rpartition(", ")[2]
    assert f"`{file}`" in RECIPE, f"CONTRIBUTING.md says nothing of {file} where it says what a status needs"
    assert (REPOSITORY / file).is_file()
