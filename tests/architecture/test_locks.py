"""The locks hold what ``pyproject.toml`` asks for, with hashes; what is deployed is what was tested."""

import ast
import re
import sys
import tomllib
from collections.abc import Collection
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.architecture.tree import REPOSITORY, Breach, sources, write

OURS = {"services", "shared", "deploy"}
ENTRY = re.compile(r"^([a-z0-9._-]+)==(\S+)", re.MULTILINE)


def locked(path: Path) -> dict[str, str]:
    """Return the entries of a lock: each name with everything that the lock says of it."""
    blocks = re.split(r"\n(?=[a-z0-9])", path.read_text(encoding="utf-8"))
    return {found[1]: block[found.end(1) :].strip() for block in blocks if (found := ENTRY.search(block))}


def asked(root: Path, *, everything: bool) -> set[str]:
    """Return the names that ``pyproject.toml`` asks for, without versions; with ``everything`` also the tools."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = list(project["project"]["dependencies"])
    wanted += project["dependency-groups"]["dev"] if everything else []
    return {re.split(r"[\[<>=~! ;]", name, maxsplit=1)[0].lower().replace("_", "-") for name in wanted}


def disagreements(root: Path) -> list[str]:
    """Return what is asked for and not locked, locked without a hash, or deployed otherwise than tested."""
    whole, part = locked(root / "requirements.lock"), locked(root / "deploy" / "requirements.lock")
    return sorted(
        [f"{name} is not locked" for name in asked(root, everything=True) - set(whole)]
        + [f"{name} is not deployed" for name in asked(root, everything=False) - set(part)]
        + [f"{name} has no hash" for name, entry in whole.items() if "--hash=sha256:" not in entry]
        + [f"{name} differs" for name, entry in part.items() if hashes(whole.get(name, "")) != hashes(entry)]
    )


def hashes(entry: str) -> tuple[str, ...]:
    """Return an entry's version and hashes, without the condition on which it is installed."""
    return (entry.split(maxsplit=1)[0] if entry else "", *re.findall(r"--hash=(\S+)", entry))


def not_deployed(root: Path, names: Collection[str]) -> list[Breach]:
    """Return every import of the product whose distribution is not among ``names``, so that the image lacks it."""
    owners = packages_distributions()
    return [
        Breach(name, node.lineno, f"imports {module}")
        for name, tree in sources(root, "services/", "shared/", "deploy/")
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for module in imported(node)
        if module not in OURS | sys.stdlib_module_names
        if not {owner.lower().replace("_", "-") for owner in owners.get(module, [])} & set(names)
    ]


def imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    """Return the top-level modules that an import names."""
    names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
    return [name.partition(".")[0] for name in names]


def test_the_image_has_all_that_the_product_imports() -> None:
    assert not_deployed(REPOSITORY, locked(REPOSITORY / "deploy" / "requirements.lock")) == []


def test_an_import_that_the_image_lacks_is_found(tmp_path: Path) -> None:
    write(tmp_path, "services/intake/app.py", "import json\nimport asyncpg\nfrom hypothesis import given\n")
    assert [breach.what for breach in not_deployed(tmp_path, ["asyncpg"])] == ["imports hypothesis"]


def test_the_locks_agree_with_the_project() -> None:
    assert disagreements(REPOSITORY) == []


@pytest.mark.parametrize(
    ("whole", "part", "found"),
    [
        ("a==1 --hash=sha256:1\nb==1 --hash=sha256:2\n", "a==1 --hash=sha256:1\n", []),
        ("a==1 --hash=sha256:1\n", "a==1 --hash=sha256:1\n", ["b is not locked"]),
        ("a==1 --hash=sha256:1\nb==1\n", "a==1 --hash=sha256:1\n", ["b has no hash"]),
        ("a==1 --hash=sha256:1\nb==1 --hash=sha256:2\n", "a==2 --hash=sha256:1\n", ["a differs"]),
        ("a==1 --hash=sha256:1\nb==1 --hash=sha256:2\n", "b==1 --hash=sha256:2\n", ["a is not deployed"]),
    ],
)
def test_a_lock_that_disagrees_is_found(whole: str, part: str, found: list[str], tmp_path: Path) -> None:
    write(tmp_path, "pyproject.toml", '[project]\ndependencies = ["a>=1"]\n[dependency-groups]\ndev = ["b"]\n')
    write(tmp_path, "requirements.lock", whole)
    write(tmp_path, "deploy/requirements.lock", part)
    assert disagreements(tmp_path) == found
