"""What `relais` says when the database does not do what a command asks."""

import asyncpg
import pytest

from deploy.cli.console import CliCode, why


@pytest.mark.parametrize(
    "error", [ConnectionRefusedError(), asyncpg.CannotConnectNowError(), asyncpg.QueryCanceledError()]
)
def test_a_database_that_does_not_answer_is_said_to_be_away(error: Exception) -> None:
    assert why(error)[0] == CliCode.DATABASE_AWAY


def test_what_cannot_be_asked_at_all_is_not_said_to_be_the_databases_fault() -> None:
    unwritable = asyncpg.exceptions._base.DataError("Canary Name")  # noqa: SLF001 - another class has the public name
    code, sentence = why(unwritable)
    assert code not in (CliCode.DATABASE_AWAY, CliCode.DATABASE_REFUSED)
    assert "Canary" not in sentence
