"""The walls of pyproject.toml stand: the tree keeps every one, and a tree that breaks one is found out.

The broken trees have the real tree's files, all of them empty but for the one import that is forbidden.
"""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.architecture.tree import REPOSITORY, files, write

FORBIDDEN = [
    ("one-way", "shared/storage/pool.py", "import services.intake"),
    ("one-way", "services/intake/hears.py", "from deploy import local"),
    ("services-apart", "services/notify/app.py", "from services.referral import domain"),
    ("services-apart", "services/intake/domain/admit.py", "import services.notify"),
    ("contracts-alone", "shared/contracts/ids.py", "from shared import clock"),
    ("audit-before-messaging", "shared/audit/entry.py", "from shared.messaging.decision import Decision"),
    ("packet-within-referral", "deploy/cli/__init__.py", "from shared.contracts import packet"),
    ("packet-within-referral", "shared/messaging/post.py", "import shared.contracts.exchange"),
    ("packet-within-referral", "services/intake/hears.py", "from shared.contracts.event_data import OfferedData"),
    ("door-and-voice-cannot-read", "services/intake/hears.py", "from shared.contracts.packet import Packet"),
    ("door-and-voice-cannot-read", "services/notify/hears.py", "from shared.contracts import exchange"),
    ("voice-opens-nothing", "services/notify/hears.py", "from shared.sealing.envelope import parse"),
    ("domain-rooms", "services/referral/domain/life.py", "from services.referral.store import states"),
    ("domain-rooms", "services/intake/domain/admit.py", "from services.intake import app"),
    ("domain-pure", "services/referral/domain/life.py", "import asyncpg"),
    ("domain-pure", "services/notify/domain/who.py", "import socket"),
    ("domain-pure", "services/notify/domain/who.py", "from shared.storage import pool"),
]
"""A contract of pyproject.toml, a file, and the import in it that the contract refuses."""


def contracts() -> set[str]:
    """Return the ids of the contracts in pyproject.toml."""
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    return {contract["id"] for contract in settings["tool"]["importlinter"]["contracts"]}


def hollow_tree(root: Path) -> None:
    """Make a tree with the real tree's files and nothing in them."""
    (root / "pyproject.toml").write_bytes((REPOSITORY / "pyproject.toml").read_bytes())
    for path in files(REPOSITORY, ".py"):
        write(root, path.relative_to(REPOSITORY).as_posix(), "")
    for service in ("intake", "referral", "notify"):
        write(root, f"services/{service}/app.py", "")
        write(root, f"services/{service}/store/__init__.py", "")
        write(root, f"services/{service}/store/states.py", "")
    write(root, "shared/storage/pool.py", "import asyncpg")


def lint(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run import-linter over a tree."""
    command = [sys.executable, str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]
    return subprocess.run([*command, *arguments], cwd=root, capture_output=True, text=True, check=False)


def test_the_tree_keeps_every_contract() -> None:
    done = lint(REPOSITORY)
    assert done.returncode == 0, done.stdout


def test_an_empty_tree_keeps_every_contract(tmp_path: Path) -> None:
    hollow_tree(tmp_path)
    done = lint(tmp_path)
    assert done.returncode == 0, done.stdout


def test_every_contract_is_tried() -> None:
    assert {contract for contract, _, _ in FORBIDDEN} == contracts()


@pytest.mark.parametrize(("contract", "name", "line"), FORBIDDEN)
def test_a_forbidden_import_is_found(contract: str, name: str, line: str, tmp_path: Path) -> None:
    hollow_tree(tmp_path)
    write(tmp_path, name, line)
    done = lint(tmp_path, "--contract", contract)
    assert done.returncode == 1
    assert "1 broken" in done.stdout
