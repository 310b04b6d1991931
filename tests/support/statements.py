"""The SQL of a store, held against its schema: every statement prepares, and says which columns it gives."""

import re
from types import ModuleType

from shared.storage.pool import Connection

STATEMENT = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\s")


async def given_columns(connection: Connection, store: ModuleType) -> dict[str, list[str]]:
    """Return the columns that each statement of ``store`` gives, by the statement's name.

    Raises:
        asyncpg.PostgresError: a statement does not fit the schema that ``connection`` is on.
    """
    return {
        name: [column.name for column in (await connection.prepare(text)).get_attributes()]
        for name, text in vars(store).items()
        if isinstance(text, str) and STATEMENT.match(text)
    }
