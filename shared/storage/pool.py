"""Connections to a service's own schema: opened when the database is there, and never with a statement without an end.

A database that is away is waited for, with back-off, and the log says so: a node that starts before its database must
come up by itself.
"""

import asyncio
from typing import TYPE_CHECKING, Final, TypeAlias

import asyncpg

from shared.pauses import pause
from shared.telemetry.logs import get_logger

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

STATEMENT_TIMEOUT_SECONDS = 30
LOCK_TIMEOUT_SECONDS = 10

log = get_logger(__name__)

UNAVAILABLE: tuple[type[BaseException], ...] = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleSessionTimeoutError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.PostgresSystemError,
    asyncpg.ReadOnlySQLTransactionError,
    OSError,
    TimeoutError,
)
"""The database is away, full, going down or says no for now: nothing is wrong with what was asked, so the same is asked
again later (PostgreSQL, "Error Codes": classes 08, 53, 55, 57 and 58, and what ends an idle session).

A connection that was told of its end and has yet to close fails with ``InternalClientError``.
"""


class DatabaseAddressError(Exception):
    """What was given is not the address of a database. What asyncpg says of it can hold a part of the password."""

    code: Final = "database-address-malformed"


class ContendedError(Exception):
    """Somebody else has written what was read: a row's version is not the one that it was."""


CONTENDED: tuple[type[BaseException], ...] = (
    ContendedError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
)
"""Somebody else was in the way, or the database was too slow: the same is asked again at once, a little later."""


def is_away(error: BaseException) -> bool:
    """Tell whether ``error`` says that the database is away.

    A value that cannot be written in its language is a fault of ours, and a row that somebody has locked is in the way
    of one message and not of all: asyncpg derives both from errors of that kind.
    """
    return isinstance(error, UNAVAILABLE) and not isinstance(error, (ValueError, *CONTENDED))


def will_pass(error: BaseException) -> bool:
    """Tell whether the same may be asked again later: the database is away, or somebody else was in the way."""
    return is_away(error) or isinstance(error, CONTENDED)


async def open_pool(
    dsn: str,
    *,
    schema: str,
    application: str,
    largest: int = 8,
) -> Pool:
    """Return a pool on ``schema``, as soon as the database answers.

    Args:
        dsn: where, and as which role; the role can see no other schema.
        schema: the service's own; SQL names its tables unqualified.
        application: what the database's own views call us.
        largest: connections at most.

    Raises:
        DatabaseAddressError: ``dsn`` is not the address of a database.
        asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError: the password is wrong, or there
            is no such database; waiting would not help.
    """
    attempt = 0
    while True:
        try:
            return await asyncpg.create_pool(
                dsn,
                min_size=1,
                max_size=largest,
                timeout=10,
                server_settings={
                    "application_name": application,
                    "search_path": schema,
                    "statement_timeout": f"{STATEMENT_TIMEOUT_SECONDS}s",
                    "lock_timeout": f"{LOCK_TIMEOUT_SECONDS}s",
                    "idle_in_transaction_session_timeout": f"{2 * STATEMENT_TIMEOUT_SECONDS}s",
                },
            )
        except ValueError:
            raise DatabaseAddressError from None
        except UNAVAILABLE as error:
            attempt += 1
            log.warning("database.unavailable", attempt=attempt, error=type(error).__name__)
            await asyncio.sleep(pause(attempt))
