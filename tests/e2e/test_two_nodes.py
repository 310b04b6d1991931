"""Two nodes that live their lives at once: whatever their staff do, both stores end with the same story.

Each node has its own database, virtual host and keys, and runs intake and referral; what they say to one another goes
over the exchange, sealed. Staff on both sides act at random, without waiting for one another.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from pydantic import SecretStr

from deploy.broker.topology import BrokerRole
from deploy.local.databases import DatabaseRole, NodeDatabase
from deploy.nodes import migrate_node
from services.intake.app import create_app as create_intake
from services.intake.settings import IntakeSettings
from services.referral.app import create_app as create_referral
from shared.audit.verify import verify
from shared.contracts.codes import Status, Step
from shared.contracts.ids import OrganisationId
from shared.contracts.services import API
from shared.sealing.documents import note_verifier
from shared.sealing.keys import KeyPurpose, VerifyKey
from tests.support.desk import settings_of, write_staff
from tests.support.partners import PASSPHRASE, Organisation
from tests.support.referrals import CANARY, summary
from tests.support.servers import BrokerPair, FreshDatabase, Rabbit, make_broker_pair
from tests.support.wait import until

REFERRALS = 12
ROUNDS = 8

COMMANDS: dict[str, Any] = {
    "open": None,
    "ask": {"question": CANARY},
    "answer": {"answer": CANARY},
    "accept": {"meeting": {"when": None, "where": CANARY, "who": CANARY}},
    "disclose": {"categories": ["summary"]},
    "decline": {"reason": "no_capacity", "by": "provider"},
    "redirect": {"reason": "out_of_area", "name": CANARY},
    "arrive": None,
    "miss": {"reason": "did_not_come"},
    "reschedule": {"meeting": {"when": None, "where": CANARY, "who": CANARY}},
    "progress": {"code": "settled"},
    "close": {"outcome": "got_help"},
    "withdraw": {"reason": "no_longer_needed"},
    "withdraw-consent": None,
}
SENDERS = {"answer", "disclose", "reschedule", "withdraw", "withdraw-consent"}
"""What the sender says; the rest is the receiver's."""
WALKS: list[list[tuple[str, Step, Status]]] = [
    [
        ("open", Step.OPENED, Status.OPENED),
        ("ask", Step.ASKED, Status.ASKED),
        ("answer", Step.ANSWERED, Status.OPENED),
        ("accept", Step.ACCEPTED, Status.ACCEPTED),
        ("disclose", Step.DISCLOSED, Status.DISCLOSED),
        ("miss", Step.MISSED, Status.MISSED),
        ("reschedule", Step.RESCHEDULED, Status.DISCLOSED),
        ("arrive", Step.ARRIVED, Status.ARRIVED),
        ("progress", Step.PROGRESSED, Status.ARRIVED),
        ("close", Step.CLOSED, Status.CLOSED),
    ],
    [("decline", Step.DECLINED, Status.DECLINED)],
    [("redirect", Step.REDIRECTED, Status.REDIRECTED)],
    [("withdraw", Step.WITHDRAWN, Status.WITHDRAWN)],
    [("withdraw-consent", Step.CONSENT_WITHDRAWN, Status.WITHDRAWN)],
]
"""Ways on which each command is said once: what it says, and where the referral stands then."""
RARE = {"decline", "redirect", "withdraw", "withdraw-consent"}
"""What ends a referral is tried less often, so that some get far."""


@dataclass
class Node:
    """One organisation's intake and referral."""

    organisation: Organisation
    database: NodeDatabase
    client: httpx.AsyncClient
    owner: "asyncpg.Pool[asyncpg.Record]"
    token: str

    async def post(self, path: str, body: object = None) -> httpx.Response:
        """Ask that something be done."""
        return await self.client.post(path, json=body, headers=self.signed_in)

    @property
    def signed_in(self) -> dict[str, str]:
        """The header with which a caseworker is known."""
        return {"Authorization": f"Bearer {self.token}"}

    async def offer(self, to: OrganisationId) -> str:
        """Offer somebody, and return the referral."""
        case = (await self.post("/cases")).json()["id"]
        part = summary().model_dump(mode="json", exclude_none=True)
        await self.client.put(f"/cases/{case}/parts/summary", json=part, headers=self.signed_in)
        granted = {
            "recipient": to,
            "categories": ["summary"],
            "form": "written",
            "language": "tgl",
            "given_by": "person",
            "explained": True,
            "feedback": True,
        }
        await self.post(f"/cases/{case}/grants", granted)
        offered = await self.post(f"/cases/{case}/referrals", {"to": to, "kind": "transfer", "urgency": "urgent"})
        assert offered.status_code == 201, offered.text
        return str(offered.json()["exchange_id"])

    async def path(self, referral: str) -> str | None:
        """Return where the node shows a referral that both call so, or ``None`` where it has not come yet."""
        found = await self.post("/referrals/find", {"exchange_id": referral})
        return None if found.status_code == 404 else f"/referrals/{found.json()['id']}"

    async def do(self, referral: str, command: str, body: object = None) -> httpx.Response:
        """Let a member of staff do something about a referral that is there."""
        return await self.post(f"{await self.path(referral)}/{command}", _dated(body))

    async def story(self) -> dict[str, tuple[str, str]]:
        """Return where every referral stands and who answers for the person."""
        rows = await self.owner.fetch("SELECT id, status, responsible FROM referral.referral")
        return {str(row["id"]): (row["status"], row["responsible"]) for row in rows}

    async def lanes(self, referral: str) -> tuple[str, set[str]] | None:
        """Return where a referral stands, and what both sides have said; ``None`` where it has not come yet."""
        query = "SELECT status, course FROM referral.referral WHERE id = $1"
        row = await self.owner.fetchrow(query, UUID(referral))
        if row is None:
            return None
        course = json.loads(row["course"])
        return row["status"], {move[0] for move in course["sender"] + course["receiver"]}

    async def aliases(self) -> dict[str, str]:
        """Return what its people call each referral."""
        rows = await self.owner.fetch("SELECT id, alias FROM referral.referral")
        return {str(row["id"]): str(row["alias"]) for row in rows}

    async def at_rest(self) -> bool:
        """Whether nothing waits to be said, to be heard or to be numbered."""
        query = " UNION ALL ".join(
            f"SELECT count(*) AS n FROM {schema}.{table}"  # noqa: S608 - names of our own
            for schema in ("intake", "referral")
            for table in ("outbox", "held", "audit_pending")
        )
        return not any(row["n"] for row in await self.owner.fetch(query))

    async def all_proved(self) -> bool:
        """Whether everything that it has said is proved to be held by the partner."""
        courses = await self.owner.fetch("SELECT course FROM referral.referral")
        return not any(json.loads(row["course"])["unproved"] for row in courses)

    async def audits(self) -> list[bool]:
        """Return whether the log of each service verifies."""
        document = self.organisation.directory.book.document(self.organisation.id)
        answers = []
        for schema, purpose in (("intake", KeyPurpose.AUDIT_INTAKE), ("referral", KeyPurpose.AUDIT_REFERRAL)):
            (key,) = [each.key for each in document.keys if each.purpose is purpose]
            assert isinstance(key, VerifyKey)
            async with self.owner.acquire() as connection:
                await connection.execute(f"SET search_path = {schema}")
                report = await verify(connection, note_verifier(self.organisation.id, purpose, key))
                await connection.execute("RESET search_path")
            answers.append(report.verified and report.entries > 0)
        return answers


@pytest.fixture
async def nodes(rabbitmq: Rabbit, fresh_database: FreshDatabase, tmp_path: Path) -> AsyncIterator[tuple[Node, Node]]:
    """Run two nodes."""
    pair = make_broker_pair(rabbitmq)
    one, other = (Organisation.make(tmp_path, each) for each in (pair.ccem, pair.abri))
    one.agree_with(other)
    async with AsyncExitStack() as stack:
        yield await run(pair, one, fresh_database, stack), await run(pair, other, fresh_database, stack)
    pair.remove()


def intake_of(pair: BrokerPair, us: Organisation, database: NodeDatabase) -> AbstractAsyncContextManager[object]:
    """Return what runs the intake of one organisation."""
    settings = IntakeSettings(
        organisation=us.id,
        folder=us.folder,
        env="test",
        clock_file=us.folder / "clock",
        intake_database=SecretStr(database.dsn(DatabaseRole.INTAKE)),
        intake_node_broker=SecretStr(pair.url(us.id, BrokerRole.INTAKE)),
        intake_exchange_broker=SecretStr(pair.exchange_url(us.id, BrokerRole.INTAKE)),
        intake_passphrase=SecretStr(PASSPHRASE),
    )
    app = create_intake(settings)
    return app.router.lifespan_context(app)


async def run(
    pair: BrokerPair, us: Organisation, fresh_database: FreshDatabase, stack: AsyncExitStack, *, door: bool = True
) -> Node:
    """Run intake and referral of one organisation; without its ``door``, referral alone."""
    database = await fresh_database("node-fr")
    await migrate_node(database)
    tokens = write_staff(us.folder)
    desk = create_referral(settings_of(pair, us, database, us.folder / "clock"))
    if door:
        await stack.enter_async_context(intake_of(pair, us, database))
    await stack.enter_async_context(desk.router.lifespan_context(desk))
    client = httpx.AsyncClient(transport=httpx.ASGITransport(desk), base_url=f"http://desk{API}", timeout=30)
    await stack.enter_async_context(client)
    owner = await asyncpg.create_pool(database.dsn(DatabaseRole.OWNER), min_size=1, max_size=3)
    stack.push_async_callback(owner.close)
    return Node(us, database, client, owner, tokens["noor"])


def dice(seed: int) -> Random:
    """Return what draws the same commands for the same ``seed``; pytest-randomly prints what all seeds come from."""
    return Random(seed)  # noqa: S311 - repeatable on purpose


async def act_at_random(node: Node, dice: Random, referrals: list[str]) -> int:
    """Let a member of staff try something about each referral again and again; return how often it was possible."""
    done = 0
    for _ in range(ROUNDS):
        for referral in dice.sample(referrals, len(referrals)):
            if await node.path(referral) is None:
                continue
            likely = [step for step in COMMANDS if step not in RARE or dice.random() < 0.15]
            command = dice.choice(likely)
            answer = await node.do(referral, command, COMMANDS[command])
            assert answer.status_code in (200, 409), answer.text
            done += answer.status_code == 200
    return done


def _dated(body: Any) -> Any:  # noqa: ANN401 - as JSON has it
    if isinstance(body, dict) and "meeting" in body:
        return {"meeting": {**body["meeting"], "when": (datetime.now(UTC) + timedelta(days=1)).isoformat()}}
    return body


async def test_whatever_staff_do_both_stores_agree_and_both_logs_verify(nodes: tuple[Node, Node]) -> None:
    seed = random.getrandbits(32)
    one, other = nodes
    referrals = [await one.offer(other.organisation.id) for _ in range(REFERRALS // 2)]
    referrals += [await other.offer(one.organisation.id) for _ in range(REFERRALS // 2)]
    done = await asyncio.gather(*(act_at_random(node, dice(seed + side), referrals) for side, node in enumerate(nodes)))
    assert sum(done) > REFERRALS, f"{seed=}: hardly anything was possible"

    async def agreed() -> bool:
        stories = [await node.story() for node in nodes]
        return stories[0] == stories[1] and all([await node.at_rest() for node in nodes])

    await until(agreed, seconds=30, what=f"one story in both stores ({seed=})")
    story = await one.story()
    assert story.keys() == set(referrals)
    ours, theirs = [await node.aliases() for node in nodes]
    aliases = set(ours.values()) | set(theirs.values())
    assert len(aliases - set(referrals)) == 2 * len(referrals), "nobody can join what the two call a referral"
    assert len({status for status, _ in story.values()}) > 1, f"{seed=}: every referral ended alike"
    for node in nodes:
        await until(node.all_proved, seconds=10, what=f"a receipt for everything that was said ({seed=})")
        assert await node.audits() == [True, True]


async def test_each_command_is_said_and_heard(nodes: tuple[Node, Node]) -> None:
    sender, receiver = nodes
    assert {command for walk in WALKS for command, _, _ in walk} == COMMANDS.keys()
    for walk in WALKS:
        referral = await sender.offer(receiver.organisation.id)
        said = {Step.OFFERED.value}

        async def both_stand_at(where: tuple[str, set[str]], referral: str = referral) -> bool:
            return all([await node.lanes(referral) == where for node in nodes])

        await until(partial(both_stand_at, (Status.RECEIVED.value, said)), seconds=20, what="the offer at both")
        for command, step, status in walk:
            answer = await (sender if command in SENDERS else receiver).do(referral, command, COMMANDS[command])
            assert answer.status_code == 200, f"{command}: {answer.text}"
            said |= {step.value}
            await until(partial(both_stand_at, (status.value, said)), seconds=20, what=f"{step} at both")
