"""After the start: what is there is set aside, what comes is looked through less often, and no cycle stays for good."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from shared import garbage


class Cycle:
    """Something that only a collection can free."""

    def __init__(self) -> None:
        """Hold itself."""
        self.itself = self


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """Let the other tests have Python as they know it."""
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def is_looked_through(value: object) -> bool:
    """Tell whether collections still go through ``value``."""
    return any(each is value for each in gc.get_objects())


def test_what_the_start_has_made_is_not_looked_through_again() -> None:
    of_the_start = [Cycle()]
    assert is_looked_through(of_the_start)
    garbage.settle()
    assert not is_looked_through(of_the_start)
    made_later = [Cycle()]
    assert is_looked_through(made_later)


def test_what_is_garbage_already_is_not_set_aside() -> None:
    gone = weakref.ref(Cycle())
    garbage.settle()
    assert gone() is None


def test_a_cycle_that_a_batch_leaves_is_still_found() -> None:
    garbage.settle()
    left = weakref.ref(Cycle())
    gc.collect()
    assert left() is None


def test_a_batch_is_not_looked_through_while_it_is_at_work() -> None:
    garbage.settle()
    before = gc.get_stats()[0]["collections"]
    batch = [[number] for number in range(garbage.NEW_VALUES // 2)]
    assert gc.get_stats()[0]["collections"] <= before + 1
    assert batch
