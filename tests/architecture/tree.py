"""The files that the rules of the house look at: what is committed, or in a tree without history, what is there.

Each rule is a function from a tree to what is wrong with it, so that a test can hand it a small tree that breaks it.
"""

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
NOT_OURS = {".git", ".venv", ".relais", "build", "node_modules", "__pycache__"}


@dataclass(frozen=True, slots=True, order=True)
class Breach:
    """A place where a rule is broken."""

    path: str
    line: int
    what: str


def files(root: Path, *suffixes: str) -> list[Path]:
    """Return the files of the tree, sorted; with ``suffixes`` only those that end so."""
    found = committed(root) or [path for path in root.rglob("*") if path.is_file() and not NOT_OURS & set(path.parts)]
    return sorted(path for path in found if not suffixes or path.name.endswith(suffixes))


def committed(root: Path) -> list[Path]:
    """Return the committed files that are still there; none where there is no history to ask."""
    if not (root / ".git").exists():
        return []
    # Whoever runs the tests may read the tree, whoever owns it.
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    return [root / name for name in listed.stdout.split("\0") if name and (root / name).is_file()]


def sources(root: Path, *folders: str) -> Iterator[tuple[str, ast.Module]]:
    """Yield every Python file under ``folders`` (all, without any): its path from the root, and its syntax tree."""
    for path in files(root, ".py"):
        name = path.relative_to(root).as_posix()
        if not folders or name.startswith(folders):
            yield name, parsed(path, path.stat().st_mtime_ns)


@cache
def parsed(path: Path, _changed: int) -> ast.Module:
    """Return a file's syntax tree; many rules ask for the same ones."""
    return ast.parse(path.read_text(encoding="utf-8"), path.name)


def write(root: Path, name: str, text: str) -> None:
    """Write a file of a small tree that a test makes up."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
