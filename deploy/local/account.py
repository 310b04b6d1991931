"""What the demo answers for: every value read back from the stores of both nodes, none from the story's own memory."""

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any, Final
from uuid import UUID

import asyncpg
import httpx

from deploy.cli.audit_log import Node as AuditedNode
from deploy.cli.audit_log import summary, verify_node
from deploy.local.databases import DatabaseRole
from deploy.local.network import ABRI, CCEM, NODES, Network, Node
from deploy.local.staff import LOOK_SECONDS
from deploy.local.story import Leg
from deploy.local.telltale import found_in, readable, telltales
from shared.contracts.ids import OrganisationId, public_number

PATIENCE_SECONDS: Final = 30.0

SERVICES_OF_A_NODE: Final = 3
"""A message goes through intake, referral and notify; never through another organisation's in one trace."""

STANDS: Final = "SELECT id, status, responsible FROM referral.referral WHERE id = any($1::uuid[])"
PROOFS: Final = "SELECT count(*) FROM referral.proof"
NOTIFIED: Final = "SELECT count(*) FROM notify.notification"
TEXTS: Final = "SELECT notification::text AS line FROM notify.notification"
TABLES: Final = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'notify'"
ROWS: Final = "SELECT line::text AS line FROM notify.{table} AS line"
WAITING: Final = """
SELECT (SELECT count(*) FROM {schema}.outbox) + (SELECT count(*) FROM {schema}.audit_pending)
    + (SELECT count(*) FROM {schema}.held)
"""


async def account(network: Network, legs: Sequence[Leg], files: Sequence[Path], seconds: float) -> dict[str, Any]:
    """Return what the stores say of the story, and whether all of it is as it should be.

    Raises:
        DemoError: a store does not come to rest.
    """
    onward = {leg.referral: leg.responsible for leg in legs if (leg.sender, leg.receiver) == (CCEM, ABRI)}
    await _settled(network)
    audits = {name: summary(await verify_node(_audited(node))) for name, node in network.nodes.items()}
    stands = {name: await _stands(node, onward) for name, node in network.nodes.items()}
    told = {name: await _count(node, NOTIFIED) for name, node in network.nodes.items()}
    found: dict[str, Any] = {
        "referral": next(iter(onward)),
        "referrals": len(onward),
        "states": {name: _same(status for status, _ in stands[name].values()) for name in NODES},
        "responsible": {name: _same(responsible for _, responsible in stands[name].values()) for name in NODES},
        "receipts": sum([await _count(node, PROOFS) for node in network.nodes.values()]),
        "notifications": sum(told.values()),
        "mails": len(network.mail.letters()),
        "personal_in_notifications": await _personal_words_told(network, files),
        "exchange_ids_at_notify": await _exchange_ids_told(network, legs),
        "audit": audits,
        **await _traces(network, legs),
        "seconds": round(seconds, 3),
    }
    arrived = {referral: ("arrived", responsible) for referral, responsible in onward.items()}
    agreed = all(stands[name] == arrived for name in NODES)
    return {"ok": agreed and _is_ok(found, told, len(files)), **found}


def _is_ok(found: Mapping[str, Any], told: Mapping[OrganisationId, int], persons: int) -> bool:
    return (
        found["referrals"] == persons
        and all(found["audit"][name]["verified"] for name in NODES)
        and all(told.values())
        and found["mails"] > 0
        and found["receipts"] > 0
        and _shows_the_path(found)
        and found["personal_in_notifications"] == 0
        and found["exchange_ids_at_notify"] == 0
    )


async def _settled(network: Network) -> None:
    """Wait until nothing waits any more: no letter to send, no entry to number, nothing held."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        for node in network.nodes.values():
            for schema in (DatabaseRole.INTAKE, DatabaseRole.REFERRAL, DatabaseRole.NOTIFY):
                while await _count(node, WAITING.format(schema=schema)):  # noqa: ASYNC110 - the database has no event
                    await asyncio.sleep(LOOK_SECONDS)


def _audited(node: Node) -> AuditedNode:
    return AuditedNode.from_environment(node.environment)


async def _stands(node: Node, referrals: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return the status of each referral, and who answers for the person, as the node's store has it."""
    rows = await _fetch(node, STANDS, list(referrals))
    return {str(row["id"]): (row["status"], row["responsible"]) for row in rows}


async def _count(node: Node, question: str) -> int:
    return int((await _fetch(node, question))[0][0])


async def _fetch(node: Node, question: str, *values: object) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(node.database.dsn(DatabaseRole.OWNER))
    try:
        return await connection.fetch(question, *values)
    finally:
        await connection.close()


def _same(values: Iterator[str]) -> str:
    """Return the one value that all have, or all of them side by side."""
    return " ".join(sorted(set(values)))


async def _personal_words_told(network: Network, files: Sequence[Path]) -> int:
    """Count the texts of the persons' files that stand in any notification: there must be none."""
    told = "\n".join(readable(path.read_bytes()) for path in network.mail.letters())
    for node in network.nodes.values():
        told += "\n".join(row["line"] for row in await _fetch(node, TEXTS))
    return sum(found_in(told, telltales(json.loads(path.read_text(encoding="utf-8")))) for path in files)


async def _exchange_ids_told(network: Network, legs: Sequence[Leg]) -> int:
    """Count the ids, and the numbers cut from them, by which a partner knows a referral too, and which stand in a mail.

    Or anywhere in the store of notify, which hexadecimal lets be searched as bytes: there must be none.
    """
    told = "\n".join(readable(path.read_bytes()) for path in network.mail.letters())
    for node in network.nodes.values():
        for table in await _fetch(node, TABLES):
            told += "\n".join(row["line"] for row in await _fetch(node, ROWS.format(table=table["table_name"])))
    ids = {UUID(leg.referral) for leg in legs}
    names = {name for each in ids for name in (str(each), str(each).encode().hex(), each.hex, public_number(each))}
    return sum(name in told for name in names)


async def _traces(network: Network, legs: Sequence[Leg]) -> dict[str, int]:
    """Say how the collector shows the path of the referrals, once it has it.

    ``traces`` are about one of them; ``services_in_one_trace`` is how many services a message has gone through in one,
    by way of their outboxes; ``linked_traces`` go on from, or on to, another organisation's.
    """
    deadline = monotonic() + PATIENCE_SECONDS
    async with httpx.AsyncClient(trust_env=False, base_url=network.traces_url) as client:
        while True:
            found: dict[str, Mapping[str, Any]] = {}
            for leg in legs:
                found |= await _traces_about(client, leg.referral)
            path = {
                "traces": len(found),
                "services_in_one_trace": max((len(trace["services"]) for trace in found.values()), default=0),
                "linked_traces": sum(trace["linked"] > 0 for trace in found.values()),
            }
            if _shows_the_path(path) or monotonic() > deadline:
                return path
            await asyncio.sleep(LOOK_SECONDS)


def _shows_the_path(found: Mapping[str, Any]) -> bool:
    return bool(found["services_in_one_trace"] == SERVICES_OF_A_NODE and found["linked_traces"])


async def _traces_about(client: httpx.AsyncClient, referral: str) -> dict[str, Mapping[str, Any]]:
    answer = await client.get("/api/traces", params={"about": referral, "limit": 500})
    return {trace["id"]: trace for trace in answer.json()["traces"]}
