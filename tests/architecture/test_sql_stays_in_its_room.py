"""SQL of a service stands in its store, whole and constant, and never names a schema: each connection has its own.

A statement that is put together is made of constants alone (names of columns, mostly), and where everybody can see
it: at the head of its module, before any input exists. Values are parameters.
"""

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
    r"(?:\b(?:FROM|JOIN|INTO|UPDATE|TABLE|REFERENCES)|\bGRANT\b.*\bON)\s+(?:IF\s+(?:NOT\s+)?EXISTS\s+)?(intake|referral|notify)\s*\.\s*\w+",
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


def put_together(root: Path) -> list[Breach]:
    """Return every statement of a store, or of what is shared, that is made of more than constants."""
    return [
        Breach(name, node.lineno, "made of more than constants")
        for name, tree in sources(root, "services/", "shared/")
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr | ast.BinOp | ast.Call)
        and STATEMENT.match(beginning(node))
        and (node not in at_the_head(tree) or not made_of_constants(node))
    ]


def beginning(node: ast.expr) -> str:
    """Return how a string begins that is put together: an f-string, a sum, ``%`` or ``format``."""
    match node:
        case ast.JoinedStr(values=[ast.Constant(value=str(text)), *_]) | ast.Constant(value=str(text)):
            return text
        case ast.BinOp(left=part) | ast.Call(func=ast.Attribute(value=part, attr="format")):
            return beginning(part)
        case _:
            return ""


def at_the_head(tree: ast.Module) -> set[ast.AST]:
    """Return every node of a module that stands in no function."""
    return {
        node
        for statement in tree.body
        if isinstance(statement, ast.Assign | ast.AnnAssign)
        for node in ast.walk(statement)
    }


def made_of_constants(node: ast.expr) -> bool:
    """Tell whether what is put together are constants and the names of a row's columns, and nothing else."""
    rows = {part.value for part in ast.walk(node) if isinstance(part, ast.Attribute) and part.attr == "_fields"}
    names = [part for part in ast.walk(node) if isinstance(part, ast.Name) and part not in rows]
    return all(name.id.isupper() for name in names)


def test_sql_stands_in_the_stores() -> None:
    assert sql_outside_stores(REPOSITORY) == []


def test_statements_are_made_of_constants() -> None:
    assert put_together(REPOSITORY) == []


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


@pytest.mark.parametrize(
    "lines",
    [
        'def read(name: str) -> str:\n    return f"SELECT {name} FROM referrals"',
        'def read() -> str:\n    return f"SELECT {COLUMNS} FROM referrals"',
        'ONE = f"SELECT {columns()} FROM referrals"',
        'ONE = "SELECT id FROM referrals WHERE name = " + name',
        'ONE = "SELECT %s FROM referrals" % name',
        'ONE = "SELECT {} FROM referrals".format(name)',
    ],
)
def test_a_statement_made_of_more_is_found(lines: str, tmp_path: Path) -> None:
    write(tmp_path, "services/referral/store/inbox.py", lines)
    assert [breach.path for breach in put_together(tmp_path)] == ["services/referral/store/inbox.py"]


@pytest.mark.parametrize("part", ["COLUMNS", "', '.join(Row._fields)"])
def test_a_statement_made_of_constants_is_well(part: str, tmp_path: Path) -> None:
    lines = 'ONE: Final = f"SELECT {PART} FROM referrals WHERE id = $1"'.replace("PART", part)
    write(tmp_path, "services/referral/store/inbox.py", lines)
    assert put_together(tmp_path) == []
