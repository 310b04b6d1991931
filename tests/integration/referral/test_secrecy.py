"""Nothing personal is readable where it need not be, every reading is written down, and the log of it all verifies."""

import json
import logging
from dataclasses import replace
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.referral.known import Folder
from services.referral.store import papers
from services.referral.store.folders import opened
from services.referral.store.schema import SCHEMA
from shared.audit.cases import CaseEntries
from shared.audit.log import SALT_BYTES
from shared.audit.verify import verify
from shared.contracts.codes import Category, Step
from shared.contracts.event_data import AcceptedData
from shared.sealing.documents import note_verifier
from shared.sealing.keyring import Holder
from shared.sealing.keys import KeyPurpose, VerifyKey
from shared.storage.pool import Connection
from shared.storage.vault import Vault, VaultError
from tests.support.desk import DeskAtWork, further, meeting
from tests.support.referrals import BY_STEP, CANARY, only
from tests.support.wait import until

EVERYTHING = [category.value for category in Category]


async def a_life(desk: DeskAtWork) -> tuple[UUID, UUID]:
    """Send somebody away and receive somebody, with canaries in everything that is said; return both referrals."""
    sent = await desk.offered()
    _, offer = await desk.partner.told(sent, Step.OFFERED)
    await desk.hear(further(offer, BY_STEP[Step.ASKED], 1, 1))
    await desk.told_staff(sent, "referral.asked")
    await desk.do(sent, "answer", {"answer": CANARY, "categories": ["health"]})
    await desk.hear(further(offer, AcceptedData(meeting=meeting()), 2, 2))
    await desk.told_staff(sent, "referral.accepted")
    await desk.do(sent, "disclose", {"categories": EVERYTHING})
    received = await desk.was_offered(packet=only(*Category), identity_reason=CANARY)
    await desk.do(received.referral, "decline", {"reason": "other", "by": "provider", "note": CANARY})
    return sent, received.referral


async def everything(desk: DeskAtWork) -> str:
    """Return every column of every table of the service, bytes as they are."""
    tables = await desk.owner.fetch("SELECT tablename FROM pg_tables WHERE schemaname = $1", SCHEMA)
    said = []
    for table in tables:
        rows = await desk.owner.fetch(f"SELECT * FROM {table['tablename']}")  # noqa: S608 - names from the catalogue
        for row in rows:
            said += [v.decode("latin-1") if isinstance(v, bytes) else str(v) for v in row.values()]
    return "\n".join(said)


async def test_nothing_personal_can_be_read_in_any_table(desk: DeskAtWork) -> None:
    sent, received = await a_life(desk)
    rows = await everything(desk)
    assert str(sent) in rows
    assert str(received) in rows
    assert CANARY not in rows
    assert "+33100000000" not in rows


async def test_facts_and_logs_carry_nothing_personal(desk: DeskAtWork, lines: StringIO) -> None:
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.DEBUG)
    sent, received = await a_life(desk)
    broken = await desk.hear(further((await desk.partner.told(sent, Step.OFFERED))[1], BY_STEP[Step.ASKED], 9, 900))
    await desk.parked(broken)
    refused = await desk.post(f"/referrals/{received}/ask", {"question": CANARY, CANARY: CANARY})
    assert CANARY not in refused.text
    logging.getLogger().setLevel(level)
    await desk.told_staff(received, "referral.received")
    for message in desk.raw_facts:
        said = f"{message.body!r} {message.headers} {message.properties}"
        assert CANARY not in said
    for message in desk.partner.came:
        assert CANARY not in f"{message.body!r} {message.headers} {message.properties}"
    assert "message.parked" in lines.getvalue()
    assert CANARY not in lines.getvalue()


async def test_every_reading_is_written_down_before_anything_is_shown(desk: DeskAtWork) -> None:
    _, received = await a_life(desk)
    case, granted = await desk.new_case(), await desk.new_case()
    await desk.grant(granted)
    read = [f"/cases/{case}/papers", f"/referrals/{await desk.offered()}/papers", f"/cases/{granted}/grants"]
    for path in read:
        for _ in range(2):
            headers = {**desk.signed_in("coralie"), "Idempotency-Key": "the same"}
            assert (await desk.client.get(await desk.addressed(path), headers=headers)).status_code == 200
    assert (await desk.get(f"/referrals/{received}/papers", by="coralie")).status_code == 409
    entries = [entry for entry in await the_entries(desk) if entry["actor"] == "coralie"]
    ids = {path.split("/")[2] for path in read}
    told = sorted(entry["code"] for entry in entries if entry["subject"] in ids)
    assert told == ["case.read"] * 2 + ["grant.read"] * 2 + ["referral.read"] * 2
    assert not [e for e in entries if e["subject"] == str(received)]


async def test_a_grant_that_is_shown_again_is_read(desk: DeskAtWork) -> None:
    case = await desk.new_case()
    asked: dict[str, object] = {
        "recipient": desk.partner.id,
        "categories": ["summary"],
        "form": "written",
        "language": "tgl",
    }
    asked |= {"given_by": "person", "explained": True}
    key = {"Idempotency-Key": str(uuid4())}
    first = await desk.post(f"/cases/{case}/grants", asked, **key)
    again = await desk.post(f"/cases/{case}/grants", asked, **key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    codes = [entry["code"] for entry in await the_entries(desk) if entry["case"] == str(case)]
    assert [code for code in codes if code.startswith("grant.")] == ["grant.recorded", "grant.read"]


async def the_entries(desk: DeskAtWork) -> list[dict[str, Any]]:
    """Return the audit trail's entries, opened, in the order in which they were written."""
    rows = await desk.owner.fetch("SELECT case_id, commitment, content FROM audit_leaf ORDER BY id")
    async with desk.owner.acquire() as connection:
        cipher = await the_cipher(desk, connection)
    opened = [cipher.open(row["case_id"], row["commitment"], row["content"]) for row in rows if row["case_id"]]
    return [json.loads(each[SALT_BYTES:]) for each in opened if each]


async def numbered(desk: DeskAtWork) -> None:
    """Wait until every leaf has its number and a checkpoint covers it."""
    query = "SELECT count(*) = 0 FROM audit_pending"
    await until(lambda: desk.owner.fetchval(query), seconds=15, what="every leaf in the tree")


async def the_cipher(desk: DeskAtWork, connection: Connection) -> CaseEntries:
    """Return what opens the entries of every case."""
    vault = Vault(desk.us.keyring(Holder.REFERRAL).storage_keys())
    return CaseEntries({folder.id: folder.cipher for folder in await the_folders(connection, vault)})


async def the_folders(connection: Connection, vault: Vault, *only: UUID) -> list[Folder]:
    """Return every folder, or ``only`` these, opened."""
    rows = await connection.fetch("SELECT id, epoch, wrapped FROM folder WHERE id = ANY($1) OR $1 = '{}'", only)
    return [opened(vault, *row.values()) for row in rows]


async def test_the_audit_trail_verifies(desk: DeskAtWork) -> None:
    await a_life(desk)
    await numbered(desk)
    document = desk.us.directory.book.document(desk.us.id)
    (key,) = [each.key for each in document.keys if each.purpose is KeyPurpose.AUDIT_REFERRAL]
    assert isinstance(key, VerifyKey)
    verifier = note_verifier(desk.us.id, KeyPurpose.AUDIT_REFERRAL, key)
    async with desk.owner.acquire() as connection:
        report = await verify(connection, verifier, await the_cipher(desk, connection))
    assert report.verified, report.problems
    assert report.opened == report.entries > 0
    assert report.checkpoints > 0


async def test_a_document_opens_with_the_key_of_its_own_case_alone(desk: DeskAtWork) -> None:
    vault = Vault(desk.us.keyring(Holder.REFERRAL).storage_keys())
    async with desk.owner.acquire() as connection:
        one, other = await the_folders(connection, vault, await desk.new_case(), await desk.new_case())
        assert {paper.name for paper in await papers.about(connection, one.id, one)} == set(EVERYTHING)
        with pytest.raises(VaultError, match="vault-altered"):
            await papers.about(connection, one.id, replace(one, cipher=other.cipher))
        stranger = Vault({1: bytes(32)})
        with pytest.raises(VaultError):
            await the_folders(connection, stranger, one.id)


async def test_a_packet_that_no_envelope_holds_is_refused_and_nothing_happens(desk: DeskAtWork) -> None:
    case = await desk.new_case()
    await desk.grant(case)
    long = "🕊" * 4_000
    full: dict[str, dict[str, Any]] = {
        "narrative": {"account": "🕊" * 20_000, "wishes": long, "do_not_ask_again": long},
        "health": dict.fromkeys(
            ("conditions", "treatments", "allergies", "disabilities", "psychological", "injuries", "followed_by"), long
        ),
        "risk": {"level": "high", **dict.fromkeys(("knows_places", "threats", "measures", "notes"), long)},
    }
    for category, part in full.items():
        written = await desk.client.put(f"/cases/{case}/parts/{category}", json=part, headers=desk.signed_in("noor"))
        assert written.status_code == 204, written.text
    refused = await desk.offer(case, categories=["summary", *full], identity_reason="needed")
    assert (refused.status_code, refused.json()["code"]) == (409, "envelope-oversized")
    assert (await desk.get(f"/cases/{case}/referrals")).json() == []


async def test_a_part_that_is_wrong_is_named_and_not_repeated(desk: DeskAtWork) -> None:
    case = await desk.new_case()
    wrong = await desk.client.put(f"/cases/{case}/parts/narrative", json={CANARY: 1}, headers=desk.signed_in("noor"))
    assert wrong.status_code == 422
    assert CANARY not in wrong.text
