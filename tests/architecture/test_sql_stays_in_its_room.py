"""SQL of a service stands in its store, and never names a schema: a connection sees its own service's and no other."""

import ast
import re
from pathlib import Path

import pytest

from tests.architecture.tree import REPOSITORY, Breach, files, sources, write

STATEMENT = re.compile(
    r"\s*(SELECT\s|INSERT\s+INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s|WITH\s+\w+.*\bAS\s|(CREATE|ALTER|DROP)\s+TABLE\s)",
    re.DOTALL,
)
QUALIFIED = re.compile(
    r"\b(?:FROM|JOIN|INTO|UPDATE|TABLE|ON|REFERENCES)\s+(?:IF\s+(?:NOT\s+)?EXISTS\s+)?(intake|referral|notify)\s*\.\s*\w+",
    re.IGNORECASE,
)


def strings(tree: ast.Module) -> list[tuple[int, str]]:
    """Return every string constant with its line; of an f-string, its constant parts."""
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def sql_outside_stores(root: Path) -> list[Breach]:
    """Return every SQL statement of a service that does not stand in its store."""
    return [
        Breach(name, line, "SQL outside store/")
        for name, tree in sources(root, "services/")
        if "/store/" not in name
        for line, text in strings(tree)
        if STATEMENT.match(text)
    ]


def schemas_named(root: Path) -> list[Breach]:
    """Return every place in a service's or the shared code's SQL that names a service's schema."""
    in_code = [
        Breach(name, line, f"names the schema {found[1]}")
        for name, tree in sources(root, "services/", "shared/")
        for line, text in strings(tree)
        if STATEMENT.match(text) and (found := QUALIFIED.search(text))
    ]
    in_migrations = [
        Breach(path.relative_to(root).as_posix(), number, f"names the schema {found[1]}")
        for path in files(root, ".sql")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if not line.lstrip().startswith("--") and (found := QUALIFIED.search(line))
    ]
    return sorted(in_code + in_migrations)


def test_sql_stands_in_the_stores() -> None:
    assert sql_outside_stores(REPOSITORY) == []


def test_no_service_opens_another_schema() -> None:
    assert schemas_named(REPOSITORY) == []


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT id FROM referrals",
        "\n    INSERT INTO referrals (id) VALUES ($1)",
        "UPDATE referrals SET status = $2",
        "DELETE FROM referrals",
        "WITH due AS (SELECT 1) SELECT * FROM due",
    ],
)
def test_sql_in_a_route_is_found(statement: str, tmp_path: Path) -> None:
    write(tmp_path, "services/referral/routes/inbox.py", f'SQL = """{statement}"""')
    write(tmp_path, "services/referral/store/inbox.py", f'SQL = """{statement}"""')
    assert [breach.path for breach in sql_outside_stores(tmp_path)] == ["services/referral/routes/inbox.py"]


def test_plain_words_are_no_sql(tmp_path: Path) -> None:
    write(tmp_path, "services/notify/routes/feed.py", 'TITLE = "Select a language"\nHELP = "Update your address"')
    assert sql_outside_stores(tmp_path) == []


@pytest.mark.parametrize(
    "statement",
    ["SELECT id FROM referral.cases", "SELECT 1 FROM a JOIN intake.inbox ON true", "DELETE FROM notify.outbox"],
)
def test_a_named_schema_is_found(statement: str, tmp_path: Path) -> None:
    write(tmp_path, "services/notify/store/people.py", f'SQL = "{statement}"')
    assert len(schemas_named(tmp_path)) == 1


def test_a_named_schema_in_a_migration_is_found(tmp_path: Path) -> None:
    write(
        tmp_path,
        "services/notify/store/migrations/0002_more.sql",
        "-- fine: FROM intake.inbox\nDROP TABLE referral.cases;\n",
    )
    assert [breach.line for breach in schemas_named(tmp_path)] == [2]
