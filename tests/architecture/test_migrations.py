"""Migrations are numbered, forward only, and safe while the release before still runs: squawk reads every one.

In a migration ``{role}`` stands for the role of the service, which squawk has to be told.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.tree import REPOSITORY, files, write


def lint(root: Path, scratch: Path) -> list[str]:
    """Return squawk's findings on the migrations of a tree."""
    migrations = [path for path in files(root, ".sql") if path.parent.name == "migrations"]
    if not migrations:
        return ["no migrations found"]
    for path in migrations:
        name = path.relative_to(root).as_posix().replace("/", "-")
        write(scratch, name, path.read_text(encoding="utf-8").replace("{role}", "relais_service"))
    squawk = str(Path(sys.executable).with_name("squawk"))
    command = [
        squawk,
        "--config",
        str(REPOSITORY / ".squawk.toml"),
        "--reporter",
        "gcc",
        *sorted(map(str, scratch.glob("*.sql"))),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    findings = done.stdout.replace(f"{scratch}/", "").splitlines()
    return findings or ([] if done.returncode == 0 else [done.stderr])


def test_every_migration_is_sound(tmp_path: Path) -> None:
    assert lint(REPOSITORY, tmp_path) == []


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("ALTER TABLE cases ADD COLUMN age text NOT NULL;", "adding-required-field"),
        ("ALTER TABLE cases RENAME COLUMN status TO state;", "renaming-column"),
        ("ALTER TABLE cases DROP COLUMN status;", "ban-drop-column"),
        ("DROP TABLE cases;", "ban-drop-table"),
        ("ALTER TABLE cases ALTER COLUMN status TYPE integer USING 1;", "changing-column-type"),
        ("CREATE TABLE cases (name varchar(20));", "prefer-text-field"),
        ("CREATE TABLE cases (at timestamp);", "prefer-timestamp-tz"),
        ("CREATE TABLE cases (", "syntax-error"),
    ],
)
def test_an_unsound_migration_is_found(statement: str, rule: str, tmp_path: Path) -> None:
    write(
        tmp_path,
        "services/referral/store/migrations/0002_change.sql",
        statement + "\nGRANT SELECT ON cases TO {role};\n",
    )
    (tmp_path / "scratch").mkdir()
    assert any(rule in finding for finding in lint(tmp_path, tmp_path / "scratch"))
