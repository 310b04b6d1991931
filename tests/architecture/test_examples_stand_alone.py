"""A partner system is written from docs/protocol/ alone: what stands in examples/ imports nothing of ours.

If it needed to, a stranger could not do what the documents promise that anybody can.
"""

import ast
from pathlib import Path

import pytest

from tests.architecture.tree import REPOSITORY, Breach, sources, write

OURS = ("services", "shared", "deploy", "bench", "tests")


def leaning(root: Path) -> list[Breach]:
    """Return every import of ours in the examples, also one that is put together at run time."""
    return [
        Breach(name, node.lineno, named)
        for name, tree in sources(root, "examples/")
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Call)
        for named in imports(node)
        if named.partition(".")[0] in OURS
    ]


def imports(node: ast.Import | ast.ImportFrom | ast.Call) -> list[str]:
    """Return the modules that a node brings in."""
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=module):
            return [module or ""]
        case ast.Call(func=ast.Name(id="import_module" | "__import__"), args=[ast.Constant(value=str(named)), *_]):
            return [named]
        case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(named)), *_]):
            return [named]
        case _:
            return []


def test_the_examples_stand_alone() -> None:
    assert leaning(REPOSITORY) == []


@pytest.mark.parametrize(
    "line",
    [
        "from shared.sealing import envelope",
        "import services.intake",
        "import json, tests.support",
        "sealing = importlib.import_module('shared.sealing')",
        "sealing = __import__('shared.sealing')",
    ],
)
def test_an_example_that_leans_on_us_is_found(line: str, tmp_path: Path) -> None:
    write(tmp_path, "examples/partner/send.py", f"from examples.partner import keys\n{line}\n")
    assert [breach.line for breach in leaning(tmp_path)] == [2]
