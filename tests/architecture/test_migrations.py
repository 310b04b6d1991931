"""Migrations are numbered, forward only, and safe while the release before still runs: squawk reads every one.

In a migration ``{role}`` stands for the role of the service, which squawk has to be told.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from shared.storage.migrate import CONCURRENTLY
from tests.architecture.tree import REPOSITORY, files, write

CONCURRENT_RULES = ("require-concurrent-index-creation", "require-concurrent-index-deletion")

EXCUSED = {
    "services/notify/store/migrations/0002_unread_stays.sql",
    "services/notify/store/migrations/0003_reminded.sql",
    "services/notify/store/migrations/0007_handed_on.sql",
    "services/referral/store/migrations/0005_repeat.sql",
    "services/referral/store/migrations/0006_indexes.sql",
    "shared/messaging/migrations/0004_parked.sql",
    "shared/messaging/migrations/0006_turn.sql",
    "shared/messaging/migrations/0007_waiting.sql",
}
"""What made or dropped an index while nobody could write, when there was no other way, and stays as it was applied.

The excuse in them is wrong: each file is a transaction of its own, and never all those of a version.
"""


def migrations(root: Path) -> list[Path]:
    """Return every migration of a tree."""
    return [path for path in files(root, ".sql") if path.parent.name == "migrations"]


def lint(root: Path, scratch: Path) -> list[str]:
    """Return squawk's findings on the migrations of a tree."""
    found = migrations(root)
    if not found:
        return ["no migrations found"]
    alone = [path for path in found if path.name.endswith(CONCURRENTLY)]
    together = [path for path in found if path not in alone]
    return [
        *squawk(root, together, scratch / "in", "--assume-in-transaction"),
        *squawk(root, alone, scratch / "out", "--no-assume-in-transaction"),
    ]


def squawk(root: Path, paths: list[Path], scratch: Path, mode: str) -> list[str]:
    """Return the findings on ``paths``, which run in a transaction, or outside one, as ``mode`` says."""
    for path in paths:
        name = path.relative_to(root).as_posix().replace("/", "-")
        write(scratch, name, path.read_text(encoding="utf-8").replace("{role}", "relais_service"))
    command = [str(Path(sys.executable).with_name("squawk")), mode, "--config", str(REPOSITORY / ".squawk.toml")]
    named = sorted(map(str, scratch.glob("*.sql")))
    if not named:
        return []
    done = subprocess.run([*command, "--reporter", "gcc", *named], capture_output=True, text=True, check=False)
    findings = done.stdout.replace(f"{scratch}/", "").splitlines()
    return findings or ([] if done.returncode == 0 else [done.stderr])


def excuses(root: Path) -> list[str]:
    """Return the migrations that make or drop an index while nobody can write, and say that they may."""
    texts = {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in migrations(root)}
    return [name for name, text in texts.items() if any(rule in text for rule in CONCURRENT_RULES)]


def test_every_migration_is_sound(tmp_path: Path) -> None:
    assert lint(REPOSITORY, tmp_path) == []


def test_no_new_migration_makes_or_drops_an_index_while_nobody_can_write() -> None:
    """One that must is a file of its own, whose name ends in ``_concurrently``: see the recipe in CONTRIBUTING.md."""
    assert set(excuses(REPOSITORY)) == EXCUSED


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


@pytest.mark.parametrize(
    ("name", "statement", "rule"),
    [
        ("0002_at_concurrently.sql", "CREATE INDEX CONCURRENTLY cases_at ON cases (at);", "prefer-robust-stmts"),
        ("0002_at_concurrently.sql", "DROP INDEX CONCURRENTLY cases_at;", "prefer-robust-stmts"),
        ("0002_at_concurrently.sql", "CREATE INDEX IF NOT EXISTS cases_at ON cases (at);", "require-concurrent"),
        ("0002_at.sql", "CREATE INDEX cases_at ON cases (at);", "require-concurrent-index-creation"),
        (
            "0002_at.sql",
            "ALTER TABLE cases ADD COLUMN at text; CREATE INDEX CONCURRENTLY IF NOT EXISTS cases_at ON cases (at);",
            "ban-concurrent-index-creation-in-transaction",
        ),
    ],
)
def test_an_index_that_is_made_in_the_wrong_place_is_found(
    name: str, statement: str, rule: str, tmp_path: Path
) -> None:
    write(tmp_path, f"services/referral/store/migrations/{name}", statement + "\n")
    assert any(rule in finding for finding in lint(tmp_path, tmp_path / "scratch"))


def test_an_index_that_is_made_concurrently_in_a_file_of_its_own_is_sound(tmp_path: Path) -> None:
    made = "CREATE INDEX CONCURRENTLY IF NOT EXISTS cases_at ON cases (at);\n"
    write(tmp_path, "services/referral/store/migrations/0002_at_concurrently.sql", made)
    assert lint(tmp_path, tmp_path / "scratch") == []


def test_an_excuse_is_found(tmp_path: Path) -> None:
    excused = "-- squawk-ignore require-concurrent-index-creation -- it is quick\nCREATE INDEX a ON cases (at);\n"
    write(tmp_path, "services/referral/store/migrations/0002_at.sql", excused)
    assert excuses(tmp_path) == ["services/referral/store/migrations/0002_at.sql"]
