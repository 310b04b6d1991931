"""``relais parked`` and ``relais audit`` as an operator runs them: real processes on a real node's database."""

import asyncio
import json
import os
import pwd
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from deploy.cli.audit_log import Node
from deploy.compose.launch import read_environment, write_environment
from deploy.local.databases import DatabaseRole
from deploy.nodes import make_node, migrate_node
from shared.audit.sequencer import integrate
from shared.contracts.services import Service
from shared.messaging import held, room
from shared.messaging.delivery import Delivery, Unsigned
from shared.messaging.holding import hold
from shared.sealing.keyring import Holder, read_keyring
from tests.support.servers import FreshDatabase

REPOSITORY = Path(__file__).parents[3]
AT = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
CANARY = "Kanarienvogel"
LOGIN = pwd.getpwuid(os.getuid()).pw_name


@dataclass(frozen=True)
class Answer:
    """What the command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever it said
        """What it said to a program."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Operated:
    """A node in the folder of ``relais up``, and an operator's hands."""

    node: Node
    folder: Path
    passphrases: Mapping[Holder, str] = field(repr=False)
    """Of each of its keyrings."""

    async def run(self, *arguments: str, **variables: str) -> Answer:
        """Run ``relais`` with ``arguments``."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "deploy.cli", *arguments),
            cwd=REPOSITORY,
            env={"PATH": os.environ["PATH"], "COLUMNS": "200", **variables},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 30)
        assert CANARY not in (out + err).decode()
        assert b"Traceback" not in err
        return Answer(process.returncode or 0, out.decode(), err.decode())

    async def here(self, *arguments: str) -> Answer:
        """Run ``relais`` about this node."""
        return await self.run(*arguments, "--org", self.node.organisation, "--folder", str(self.folder))

    async def park(self, service: Service, reason: str = "envelope-altered") -> UUID:
        """Let a service have set something aside."""
        headers = {"ce-source": "abri-be", "ce-id": str(uuid4()), "ce-subject": CANARY, "traceparent": CANARY}
        hold = held.Hold(
            id=uuid4(),
            delivery=Delivery(CANARY.encode(), headers, "to.ccem-fr"),
            reason=reason,
            attempts=1,
            first_at=AT,
            due_at=None,
            subject=None,
            admitted=False,
        )
        async with self.node.connected(service) as connection:
            await held.keep(connection, service, [hold])
        return hold.id

    async def count(self, service: Service, *bodies: bytes) -> UUID:
        """Let a service have counted what nobody signed."""
        holds = [
            hold(service, Delivery(body, {"ce-id": CANARY}, "to.ccem-fr"), Unsigned("envelope-oversized"), AT)
            for body in bodies
        ]
        async with self.node.connected(service) as connection:
            (kept,) = await room.keep(connection, service, holds, AT, lambda _: None)
        return kept.id

    async def fetch(self, service: Service, query: str, *values: object) -> list[Any]:
        """Ask a service's schema."""
        async with self.node.connected(service) as connection:
            return list(await connection.fetch(query, *values))

    async def number(self, service: Service) -> None:
        """Number the service's log, as it does itself."""
        keyring = read_keyring(self.node.folder, Holder(service), self.passphrases[Holder(service)])
        async with self.node.connected(service) as connection:
            await integrate(connection, keyring.audit_signer(datetime.now(UTC)), datetime.now(UTC))


@pytest.fixture(scope="module")
async def operated(fresh_database: FreshDatabase, tmp_path_factory: pytest.TempPathFactory) -> Operated:
    """Give a node with three empty services."""
    database = await fresh_database("ccem-fr")
    await migrate_node(database)
    folder = tmp_path_factory.mktemp("up")
    own = folder / database.organisation
    made = make_node(own, database.organisation, datetime.now(UTC) - timedelta(hours=1))
    databases = {service: database.dsn(DatabaseRole(service)) for service in Service}
    told = {
        "RELAIS_ORGANISATION": database.organisation,
        "RELAIS_FOLDER": str(own),
        "RELAIS_REFERRAL_PASSPHRASE": made.passphrases[Holder.REFERRAL],
        **{f"RELAIS_{service.upper()}_DATABASE": address for service, address in databases.items()},
    }
    write_environment(own / "environment", told)
    return Operated(
        Node(database.organisation, own, databases, made.passphrases[Holder.REFERRAL]), folder, made.passphrases
    )


async def test_what_is_parked_is_listed_and_shown_without_what_it_says(operated: Operated) -> None:
    one, other = await operated.park(Service.INTAKE), await operated.park(Service.NOTIFY, "fact-malformed")
    everything, some, shown, missing = await asyncio.gather(
        operated.here("parked", "list", "--json"),
        operated.here("parked", "list", "--service", "intake"),
        operated.here("parked", "show", str(one), "--service", "intake", "--json"),
        operated.here("parked", "show", str(other), "--service", "intake"),
    )
    assert str(one) in {each["held"] for each in everything.json["intake"]}
    assert str(other) in {each["held"] for each in everything.json["notify"]}
    assert f"{one}  2026-11-24 08:00       13 bytes  to.ccem-fr  envelope-altered" in some.out
    assert str(other) not in some.out
    assert {name: shown.json[name] for name in ("reason", "size", "source")} == {
        "reason": "envelope-altered",
        "size": 13,
        "source": "abri-be",
    }
    assert "traceparent" not in shown.json
    assert (missing.code, missing.err.partition(":")[0]) == (1, "not-parked")


async def test_of_what_is_only_counted_the_true_size_is_shown_and_it_cannot_be_tried_again(operated: Operated) -> None:
    message = await operated.count(Service.INTAKE, bytes(300_001), bytes(300_002))
    asked = (str(message), "--service", "intake")
    listed, shown, replayed = await asyncio.gather(
        operated.here("parked", "list", "--service", "intake"),
        operated.here("parked", "show", *asked, "--json"),
        operated.here("parked", "replay", *asked, "--operator", "operations", "--yes"),
    )
    assert (
        f"{message}  2026-11-24 08:00   300002 bytes  to.ccem-fr  envelope-oversized (2 times, the last " in listed.out
    )
    assert {name: shown.json[name] for name in ("size", "count", "headers", "sha256")} == {
        "size": 300_002,
        "count": 2,
        "headers": "ce-id",
        "sha256": sha256(bytes(300_002)).hexdigest(),
    }
    assert (replayed.code, replayed.err.partition(":")[0]) == (1, "not-kept")
    dropped = await operated.here("parked", "drop", *asked, "--operator", "operations", "--yes")
    assert dropped.code == 0


@pytest.mark.parametrize("service", Service)
@pytest.mark.parametrize(("deed", "left"), [("replay", 1), ("drop", 0)])
async def test_what_a_person_decides_is_done_and_written_down(
    operated: Operated, service: Service, deed: str, left: int
) -> None:
    message = await operated.park(service)
    before = await operated.fetch(service, "SELECT id FROM audit_leaf")
    asked = ("parked", deed, str(message), "--service", service.value, "--operator", "operations")
    unsaid = await operated.here(*asked)
    assert (unsaid.code, unsaid.err.partition(":")[0]) == (2, "confirmation-needed")
    said = await operated.here(*asked, "--yes")
    assert (said.code, said.err) == (0, "")
    kept = await operated.fetch(service, "SELECT due_at IS NOT NULL AS due FROM held WHERE id = $1", message)
    assert [row["due"] for row in kept] == [True] * left
    rows = await operated.fetch(
        service, "SELECT content FROM audit_leaf WHERE NOT id = ANY($1)", [r["id"] for r in before]
    )
    [entry] = [json.loads(bytes(row["content"])[32:]) for row in rows]
    code = "parked.replayed" if deed == "replay" else "parked.dropped"
    assert (entry["code"], entry["actor"], entry["subject"]) == (code, "operations", str(message))
    assert entry["detail"] == {
        "consumer": service.value,
        "login": LOGIN,
        "reason": "envelope-altered",
        "source": "to.ccem-fr",
    }
    again = await operated.here(*asked, "--yes")
    assert (again.code, again.err.partition(":")[0]) == (1, "not-parked")


async def test_all_that_one_fault_has_parked_is_tried_again_at_once_and_each_is_written_down(
    operated: Operated,
) -> None:
    failed = {await operated.park(Service.REFERRAL, "decision-failed") for _ in range(3)}
    other = await operated.park(Service.REFERRAL, "event-unreadable")
    asked = ("parked", "replay", "--service", "referral", "--operator", "operations", "--yes", "--json")
    said = await operated.here(*asked, "--reason", "decision-failed")
    assert (said.code, said.json) == (
        0,
        {"reason": "decision-failed", "count": 3, "done": "replayed", "operator": "operations", "login": LOGIN},
    )
    due = await operated.fetch(Service.REFERRAL, "SELECT id FROM held WHERE due_at IS NOT NULL")
    assert failed <= {row["id"] for row in due}
    assert other not in {row["id"] for row in due}
    leaves = await operated.fetch(Service.REFERRAL, "SELECT content FROM audit_leaf")
    entries = [json.loads(bytes(row["content"])[32:]) for row in leaves]
    assert {each["subject"] for each in entries if each["detail"].get("reason") == "decision-failed"} == set(
        map(str, failed)
    )
    unclear = [await operated.here(*asked), await operated.here(*asked, str(other), "--reason", "event-unreadable")]
    assert [(each.code, each.json["error"]["code"]) for each in unclear] == [(2, "message-or-reason")] * 2
    nothing = await operated.here(*asked, "--reason", "decision-failed")
    assert (nothing.code, nothing.json["error"]["code"]) == (1, "not-parked")


async def test_the_log_is_verified_exported_and_kept(operated: Operated, tmp_path: Path) -> None:
    message = await operated.park(Service.INTAKE)
    await operated.here("parked", "drop", str(message), "--service", "intake", "--operator", "operations", "--yes")
    await operated.number(Service.INTAKE)
    path = tmp_path / "intake.jsonl"
    verified, exported, kept = await asyncio.gather(
        operated.here("audit", "verify", "--json"),
        operated.here("audit", "export", "intake", str(path), "--json"),
        operated.here("audit", "checkpoint", "--into", str(tmp_path)),
    )
    assert verified.json["verified"] is True
    assert verified.json["entries"] >= 1
    assert exported.json["entries"] == verified.json["logs"]["intake"]["entries"]
    assert kept.out == f"written to {tmp_path}: intake\n"
    checkpoint = tmp_path / f"{operated.node.organisation}-intake.checkpoint"
    key = exported.json["key"]
    offline, anchored, stranger = await asyncio.gather(
        operated.run("audit", "verify-export", str(path), "--key", key, "--checkpoint", str(checkpoint)),
        operated.here("audit", "verify", "--checkpoint", str(checkpoint), "--service", "intake"),
        operated.run("audit", "verify-export", str(path), "--key", "nonsense"),
    )
    assert (offline.code, anchored.code) == (0, 0)
    assert ": verified: " in offline.out
    assert (stranger.code, stranger.err.partition(":")[0]) == (1, "vkey-malformed")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    altered = await operated.run("audit", "verify-export", str(path), "--key", key, "--checkpoint", str(checkpoint))
    assert altered.code == 1
    assert "NOT VERIFIED" in altered.out


async def test_who_reads_the_entries_of_every_case_is_written_down_first(operated: Operated, tmp_path: Path) -> None:
    async def exports() -> list[dict[str, Any]]:
        rows = await operated.fetch(Service.REFERRAL, "SELECT content FROM audit_leaf WHERE case_id IS NULL")
        entries = [json.loads(bytes(row["content"])[32:]) for row in rows]
        return [entry for entry in entries if entry["code"] == "audit.exported"]

    path, nowhere = tmp_path / "referral.jsonl", tmp_path / "nowhere" / "referral.jsonl"
    asked = ("audit", "export", "referral", str(path))
    stranger = await operated.here(*asked, "--opened", "--operator", "casework")
    assert (stranger.code, stranger.err.partition(":")[0]) == (2, "operator-unknown")
    assert not path.exists()
    assert (await operated.here(*asked)).code == 0
    assert await exports() == []
    assert (await operated.here(*asked, "--opened", "--operator", "operations")).code == 0
    failed = await operated.here("audit", "export", "referral", str(nowhere), "--opened", "--operator", "operations")
    assert (failed.code, failed.err.partition(":")[0]) == (1, "file-unusable")
    found = await exports()
    assert [(entry["actor"], entry["detail"]) for entry in found] == [("operations", {"login": LOGIN})] * 2
    assert len({entry["subject"] for entry in found}) == 2


async def test_a_node_is_found_by_its_name_alone_where_there_is_one_or_in_the_environment(operated: Operated) -> None:
    told = dict(
        line.split("=", 1) for line in (operated.node.folder / "environment").read_text(encoding="utf-8").splitlines()
    )
    alone, named, unknown, nowhere, untold, away, no_address = await asyncio.gather(
        operated.run("parked", "list", "--folder", str(operated.folder), "--json"),
        operated.run("parked", "list", "--json", **told),
        operated.run("parked", "list", "--org", "abri-be", "--folder", str(operated.folder), "--json"),
        operated.run("audit", "verify", "--folder", "nowhere"),
        operated.run("audit", "verify", RELAIS_ORGANISATION="abri-be"),
        operated.run("audit", "verify", **(told | {"RELAIS_INTAKE_DATABASE": "postgresql://nobody@127.0.0.1:1/none"})),
        operated.run("audit", "verify", **(told | {"RELAIS_INTAKE_DATABASE": f"postgresql://u:{CANARY}/@127.0.0.1/n"})),
    )
    assert (alone.code, named.code) == (0, 0)
    assert (unknown.code, unknown.json["error"]["code"]) == (2, "node-not-found")
    assert operated.node.organisation in unknown.err
    assert (nowhere.code, nowhere.err.partition(":")[0]) == (2, "node-not-found")
    assert (untold.code, untold.err.partition(":")[0]) == (2, "audit-not-told")
    assert (away.code, away.err.partition(":")[0]) == (1, "database-away")
    assert (no_address.code, no_address.err.partition(":")[0]) == (1, "database-address-malformed")


async def test_a_checkpoint_that_is_no_text_is_refused_in_one_sentence(operated: Operated, tmp_path: Path) -> None:
    kept = tmp_path / "kept.checkpoint"
    kept.write_bytes(b"\xff\xfe")
    said = await operated.here("audit", "verify", "--checkpoint", str(kept))
    assert (said.code, said.err) == (1, f"file-unusable: {kept}: it is no text in UTF-8\n")


async def test_an_operator_has_a_name_that_can_be_written_down(operated: Operated) -> None:
    message = await operated.park(Service.INTAKE)
    said = await operated.here(
        "parked", "drop", str(message), "--service", "intake", "--yes", "--operator", f"Ana {CANARY.lower()}!"
    )
    assert (said.code, said.err.partition(":")[0]) == (2, "operator-malformed")


@pytest.mark.parametrize("named", [["--operator", "somebody-else"], ["--operator", "casework"], []])
async def test_who_decides_is_an_operator_of_the_organisation(operated: Operated, named: list[str]) -> None:
    message = await operated.park(Service.INTAKE)
    asked = ("parked", "drop", str(message), "--service", "intake", "--yes")
    said = await operated.here(*asked, *named)
    assert (said.code, said.err.partition(":")[0]) == (2, "operator-unknown")
    assert await operated.fetch(Service.INTAKE, "SELECT 1 FROM held WHERE id = $1", message)


async def test_where_no_staff_is_known_the_login_says_who_it_was_all_the_same(
    operated: Operated, tmp_path: Path
) -> None:
    told = read_environment(operated.node.folder / "environment") | {"RELAIS_FOLDER": str(tmp_path)}
    message = await operated.park(Service.NOTIFY)
    asked = ("parked", "drop", str(message), "--service", "notify", "--yes", "--json")
    said = await operated.run(*asked, "--operator", "somebody-else", **told, USER="root", LOGNAME="root")
    assert (said.json["operator"], said.json["login"]) == ("somebody-else", LOGIN)
    (tmp_path / "staff.json").write_text("[{}]")
    refused = await operated.run(*asked, **told)
    assert (refused.code, refused.json["error"]["code"]) == (1, "staff-unreadable")
