"""What the audit log costs: ``python -m bench.audit 10000 1000000``.

Writing and numbering a hundred entries at each size of the log, which must cost the same, and verifying all of it,
against nothing but the same SHA-256 calls over the same bytes. On a private PostgreSQL, removed afterwards.
"""

import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from os import urandom
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from uuid import uuid4

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.local.databases import DatabaseRole, ensure_database, role_name
from deploy.local.postgres import postgres
from shared.audit.checkpoint import log_name
from shared.audit.log import MIGRATIONS, SALT_BYTES, Leaf, append, prepare
from shared.audit.note import Signer
from shared.audit.sequencer import integrate
from shared.audit.verify import verify
from shared.contracts.entries import Entry, EntryCode
from shared.contracts.ids import OrganisationId
from shared.storage.migrate import migrate
from shared.storage.pool import Connection

ORGANISATION = OrganisationId("ccem-fr")
SCHEMA = "referral"
BATCH, ROUNDS, STEP = 100, 21, 10_000
MICRO = 1e6


def some_leaves(count: int) -> list[Leaf]:
    """Return new leaves of the usual length."""
    at = datetime.now(UTC)
    details = {"conversation": str(uuid4()), "kind": "transfer"}
    entries = (Entry(EntryCode.REFERRAL_ACCEPTED, "abri-be", uuid4(), at, details) for _ in range(count))
    return [prepare(entry, urandom(SALT_BYTES)) for entry in entries]


async def write(connection: Connection, leaves: Sequence[Leaf]) -> float:
    """Write ``leaves`` in one transaction, and return the seconds."""
    started = perf_counter()
    async with connection.transaction():
        await append(connection, leaves)
    return perf_counter() - started


async def number(connection: Connection, signer: Signer) -> float:
    """Number what waits, and return the seconds."""
    started = perf_counter()
    await integrate(connection, signer, datetime.now(UTC))
    return perf_counter() - started


async def one_batch(connection: Connection, signer: Signer) -> tuple[float, float]:
    """Write and number a batch, and return the seconds that each took."""
    return await write(connection, some_leaves(BATCH)), await number(connection, signer)


async def check(connection: Connection, signer: Signer) -> tuple[float, float]:
    """Verify the log, and return the seconds for an entry, and those that its hashes take alone."""
    started = perf_counter()
    report = await verify(connection, signer.verifier)
    seconds = perf_counter() - started
    assert report.verified
    leaves = some_leaves(STEP)
    started = perf_counter()
    for leaf in leaves:
        digest = sha256(leaf.opening).digest()
        sha256(b"\x00" + digest).digest()
        sha256(b"\x01" + digest + digest).digest()
    return seconds / report.entries, (perf_counter() - started) / STEP


async def measure(connection: Connection, owner: Connection, sizes: Sequence[int]) -> None:
    """Fill the log to each of ``sizes``, let ``owner`` tidy up as autovacuum does, and print what it costs there."""
    signer = Signer(log_name(ORGANISATION, SCHEMA), Ed25519PrivateKey.generate())
    size = 0
    print(f"{'entries':>10} {'write':>9} {'number':>9} {'verify':>9} {'hash':>9}   µs an entry, {BATCH} at a time")
    for target in sizes:
        while size < target:
            await write(connection, some_leaves(min(STEP, target - size)))
            await number(connection, signer)
            size += min(STEP, target - size)
        await owner.execute("VACUUM ANALYZE")
        costs = [await one_batch(connection, signer) for _ in range(ROUNDS)]
        size += BATCH * ROUNDS
        written, numbered = (median(each) / BATCH * MICRO for each in zip(*costs, strict=True))
        verified, hashed = (each * MICRO for each in await check(connection, signer))
        figures = f"{size:>10} {written:9.1f} {numbered:9.1f} {verified:9.2f} {hashed:9.2f}"
        print(f"{figures}   {hashed / verified:.2f} of hashing")


async def run(admin_dsn: str, sizes: Sequence[int]) -> None:
    """Make a log on the server at ``admin_dsn`` and measure it."""
    node = await ensure_database(admin_dsn, ORGANISATION)
    owner = await asyncpg.connect(node.dsn(DatabaseRole.OWNER))
    role = role_name(ORGANISATION, DatabaseRole.REFERRAL)
    await migrate(owner, schema=SCHEMA, role=role, sources={"audit": MIGRATIONS})
    service = await asyncpg.connect(node.dsn(DatabaseRole.REFERRAL), server_settings={"search_path": SCHEMA})
    try:
        await measure(service, owner, sizes)
    finally:
        await service.close()
        await owner.close()


def main() -> None:
    """Measure at the sizes that were asked for."""
    sizes = sorted(int(size) for size in sys.argv[1:]) or [10_000, 100_000]
    with TemporaryDirectory() as folder, postgres(Path(folder)) as server:
        asyncio.run(run(server.admin_dsn, sizes))


if __name__ == "__main__":
    main()
