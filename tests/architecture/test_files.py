"""What every file owes the reader: one subject, a docstring, and nothing of the machine that it was written on."""

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.architecture.tree import REPOSITORY, Breach, files, sources, write

LINES_AT_MOST = 450
WRITTEN_BY_HAND = (".py", ".sql", ".sh", ".html", ".css", ".js", ".yaml", ".yml", "Makefile", "Dockerfile")
NOT_TEXT = (".png", ".svg", ".mo", ".woff2", ".ico", ".pdf")
# Written as classes of one character, so that this file does not find itself.
REGISTRY = re.compile(r"(?:py[p]i\.org|py[t]honhosted\.org|npm[j]s\.(?:org|com)|--(?:extra-)?in[d]ex-url|fin[d]-links)")
MACHINE_PATH = re.compile(r"(?<![\w.$}*-])/(?:wor[k]|hom[e]|roo[t]|User[s]|tm[p])/\w")


def texts(root: Path) -> list[tuple[str, list[str]]]:
    """Return every text file of the tree, as its path from the root and its lines."""
    return [
        (path.relative_to(root).as_posix(), path.read_text(encoding="utf-8").splitlines())
        for path in files(root)
        if not path.name.endswith(NOT_TEXT)
    ]


def too_long(root: Path) -> list[Breach]:
    """Return the files that a person wrote and that have grown past one subject."""
    return [
        Breach(name, len(lines), "too long")
        for name, lines in texts(root)
        if name.endswith(WRITTEN_BY_HAND) and len(lines) > LINES_AT_MOST
    ]


def machine_words(root: Path) -> list[Breach]:
    """Return every package registry and every absolute path of somebody's machine."""
    return [
        Breach(name, number, found[0])
        for name, lines in texts(root)
        for number, line in enumerate(lines, start=1)
        if (found := REGISTRY.search(line) or MACHINE_PATH.search(line))
    ]


def without_docstring(root: Path) -> list[Breach]:
    """Return every Python file that does not say why it exists."""
    return [Breach(name, 1, "no docstring") for name, tree in sources(root) if not ast.get_docstring(tree)]


def busy_packages(root: Path) -> list[Breach]:
    """Return every package whose ``__init__.py`` does more than say what the package is for."""
    return [
        Breach(name, tree.body[1].lineno, "code in __init__.py")
        for name, tree in sources(root)
        if name.endswith("/__init__.py") and len(tree.body) > 1
    ]


def folders_that_are_no_package(root: Path) -> list[Breach]:
    """Return every folder of code that lacks an ``__init__.py``, so that its imports would work by accident."""
    folders = {path.parent for path in files(root, ".py")}
    return sorted(
        Breach(folder.relative_to(root).as_posix(), 1, "no __init__.py")
        for folder in folders
        if folder not in (root, root / "examples") and not (folder / "__init__.py").exists()
    )


@pytest.mark.parametrize(
    "rule", [too_long, machine_words, without_docstring, busy_packages, folders_that_are_no_package]
)
def test_the_tree_keeps_the_rule(rule: Callable[[Path], list[Breach]]) -> None:
    assert rule(REPOSITORY) == []


def test_a_long_file_is_found_and_a_lock_is_not(tmp_path: Path) -> None:
    write(tmp_path, "shared/long.py", "#\n" * (LINES_AT_MOST + 1))
    write(tmp_path, "requirements.lock", "#\n" * (LINES_AT_MOST + 1))
    assert [breach.path for breach in too_long(tmp_path)] == ["shared/long.py"]


@pytest.mark.parametrize(
    "line",
    [
        "https://" + "pypi" + ".org/simple",
        "https://files.python" + "hosted.org/packages/a.whl",
        '"resolved": "https://registry.npm' + 'js.org/htmx"',
        "--" + "index-url https://example.org",
        "open('/" + "home/somebody/relais')",
        "cd /" + "tmp/relais",
    ],
)
def test_a_word_of_the_machine_is_found(line: str, tmp_path: Path) -> None:
    write(tmp_path, "docs/guide/start.md", f"First\n{line}\n")
    assert [breach.line for breach in machine_words(tmp_path)] == [2]


def test_a_file_without_docstring_is_found(tmp_path: Path) -> None:
    write(tmp_path, "shared/silent.py", "ANSWER = 42\n")
    assert [breach.path for breach in without_docstring(tmp_path)] == ["shared/silent.py"]


def test_a_busy_package_is_found(tmp_path: Path) -> None:
    write(tmp_path, "shared/busy/__init__.py", '"""Says what it is for."""\n\nfrom shared import clock\n')
    write(tmp_path, "shared/loose/code.py", '"""Says what it is for."""\n')
    assert [breach.line for breach in busy_packages(tmp_path)] == [3]
    assert "shared/loose" in {breach.path for breach in folders_that_are_no_package(tmp_path)}
