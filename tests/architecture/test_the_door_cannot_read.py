"""Intake and notify open nothing: neither names what opens an envelope, or the keys that could.

The walls keep packets out of their sight, and their keyrings hold no inbox key and no storage key; this rule sees to it
that nobody prepares the way.
"""

import ast
from pathlib import Path

import pytest

from tests.architecture.tree import REPOSITORY, Breach, sources, write

OPENERS = {"open_body", "InboxKey", "StorageKey", "storage_keys"}


def openers_named(root: Path) -> list[Breach]:
    """Return every place in intake or notify that names something that opens what is sealed."""
    return [
        Breach(name, node.lineno, named)
        for name, tree in sources(root, "services/intake/", "services/notify/")
        for node in ast.walk(tree)
        if isinstance(node, (ast.Name, ast.Attribute, ast.alias)) and (named := spelled(node)) in OPENERS
    ]


def spelled(node: ast.Name | ast.Attribute | ast.alias) -> str:
    """Return the last part of the name that a node says."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.alias(name=name):
            return name.rpartition(".")[2]


def test_neither_names_what_opens() -> None:
    assert openers_named(REPOSITORY) == []


@pytest.mark.parametrize(
    "line",
    [
        "from shared.sealing.envelope import open_body",
        "body = envelope.open_body(sealed, key)",
        "keys = ring.storage_keys()",
        "def admit(key: InboxKey) -> None: ...",
    ],
)
def test_an_opener_is_found(line: str, tmp_path: Path) -> None:
    write(tmp_path, "services/intake/hears.py", line)
    write(tmp_path, "services/referral/hears.py", line)
    assert [breach.path for breach in openers_named(tmp_path)] == ["services/intake/hears.py"]
