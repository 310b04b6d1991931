"""New rows, a batch at a time.

They go in with COPY: asyncpg writes each value by its column's own codec, where an array's elements are each asked
first whether they are arrays themselves; and PostgreSQL puts them into the table without making a plan.
"""

from collections.abc import Iterable, Sequence

from shared.storage.pool import Connection


async def insert(connection: Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write ``rows`` into ``table``, in their order, each with its values in the order of ``columns``.

    What is not among the columns gets its default.

    Raises:
        asyncpg.UniqueViolationError: one of them is there already; the transaction is undone.
    """
    await connection.copy_records_to_table(table, columns=columns, records=rows)
