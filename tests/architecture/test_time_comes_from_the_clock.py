"""One source of time, so that a test can move it; and no test waits for time to pass: it waits for a fact."""

import ast
from pathlib import Path

import pytest

from tests.architecture.tree import REPOSITORY, Breach, sources, write

THE_CLOCK = "shared/clock.py"
THE_LOG = "shared/telemetry/logs.py"
"""A log line tells the machine's own time, whatever a test has done to the clock."""
THE_WAIT = "tests/support/wait.py"
TELLING_TIME = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"), ("time", "time")}


def calls(tree: ast.Module) -> list[tuple[int, str, str]]:
    """Return every call of an attribute of a name: its line, the name and the attribute."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            name = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
            found.append((node.lineno, name, node.func.attr))
    return found


def other_clocks(root: Path) -> list[Breach]:
    """Return every place of the product that asks the machine for the time of day."""
    return [
        Breach(name, line, f"calls {owner}.{called}")
        for name, tree in sources(root, "services/", "shared/")
        if name not in (THE_CLOCK, THE_LOG)
        for line, owner, called in calls(tree)
        if (owner, called) in TELLING_TIME
    ]


def sleeping_tests(root: Path) -> list[Breach]:
    """Return every test that lets time pass instead of waiting for a fact."""
    return [
        Breach(name, line, "sleeps")
        for name, tree in sources(root, "tests/")
        if name != THE_WAIT
        for line, _, called in calls(tree)
        if called == "sleep"
    ]


def test_the_product_asks_one_clock() -> None:
    assert other_clocks(REPOSITORY) == []


def test_no_test_sleeps() -> None:
    assert sleeping_tests(REPOSITORY) == []


@pytest.mark.parametrize("call", ["datetime.now(UTC)", "datetime.datetime.now(UTC)", "time.time()", "date.today()"])
def test_another_clock_is_found(call: str, tmp_path: Path) -> None:
    write(tmp_path, "shared/audit/log.py", f"moment = {call}")
    write(tmp_path, "services/notify/app.py", "began = time.monotonic()")
    write(tmp_path, THE_CLOCK, f"moment = {call}")
    assert [breach.path for breach in other_clocks(tmp_path)] == ["shared/audit/log.py"]


def test_a_sleeping_test_is_found(tmp_path: Path) -> None:
    write(tmp_path, "tests/e2e/test_story.py", "async def test_it() -> None:\n    await asyncio.sleep(1)\n")
    assert [breach.line for breach in sleeping_tests(tmp_path)] == [2]
