"""Decisions are pure: time and ids come in as arguments, and nothing waits.

What a decision imports is held by the walls (test_walls.py); this rule holds what it calls of the harmless modules.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.tree import REPOSITORY, Breach, sources, write

DOMAINS = ("services/intake/domain/", "services/referral/domain/", "services/notify/domain/")
FORBIDDEN_NAMES = {"uuid1", "uuid4", "now", "utcnow", "today", "fromtimestamp", "print", "open", "input"}


def impure(root: Path) -> list[Breach]:
    """Return every place in a domain that waits, asks for the time or makes up an id."""
    return sorted(
        breach for name, tree in sources(root, *DOMAINS) for node in ast.walk(tree) for breach in breaches(name, node)
    )


def breaches(name: str, node: ast.AST) -> Iterator[Breach]:
    """Yield what is wrong with one node of a file."""
    match node:
        case ast.AsyncFunctionDef() | ast.Await() | ast.AsyncFor() | ast.AsyncWith():
            yield Breach(name, node.lineno, "waits")
        case ast.Call(func=ast.Attribute(attr=called) | ast.Name(id=called)) if called in FORBIDDEN_NAMES:
            yield Breach(name, node.lineno, f"calls {called}")
        case ast.ImportFrom(module=str(module), names=names):
            for imported in names:
                if imported.name in FORBIDDEN_NAMES:
                    yield Breach(name, node.lineno, f"imports {imported.name} of {module}")
        case ast.Global() | ast.Nonlocal():
            yield Breach(name, node.lineno, "keeps state outside its arguments")
        case _:
            return


def test_every_domain_is_pure() -> None:
    assert impure(REPOSITORY) == []


@pytest.mark.parametrize(
    "line",
    [
        "async def decide() -> None: ...",
        "moment = datetime.now(UTC)",
        "moment = datetime.datetime.utcnow()",
        "number = uuid4()",
        "from uuid import UUID, uuid4",
        "text = open('names.txt').read()",
        "def decide() -> None:\n    global seen",
    ],
)
def test_an_impure_line_is_found(line: str, tmp_path: Path) -> None:
    write(tmp_path, "services/referral/domain/life.py", f'"""Decides."""\n{line}\n')
    assert len(impure(tmp_path)) == 1


def test_the_same_line_elsewhere_is_not_its_business(tmp_path: Path) -> None:
    write(tmp_path, "services/referral/app.py", "moment = datetime.now(UTC)")
    assert impure(tmp_path) == []
