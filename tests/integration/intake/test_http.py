"""The door over HTTP: the same envelopes by the same rules, and what an operator sees."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from os import urandom
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from services.intake.app import forget
from services.intake.domain.retention import KEEP_RECEIPTS
from shared.contracts.ids import KeyId
from shared.messaging import inbox, shell
from shared.messaging.delivery import inbox_id
from shared.sealing.envelope import Envelope, parse
from shared.sealing.header import MAX_LIFETIME
from shared.sealing.keys import KeyPurpose, SigningKey, VerifyKey
from shared.sealing.receipts import verify_receipt
from shared.staff import Role
from shared.storage.pool import Connection
from tests.integration.intake.conftest import AtWork, Knocking, MoveClock, is_problem
from tests.support.partners import DAY, Sealed, Sender
from tests.support.wait import until

CANARY = "Canary Name"


@pytest.fixture(scope="module")
def sender(knocking: Knocking) -> Sender:
    """The partner's referral service."""
    return Sender.of(knocking.partner, knocking.us)


async def test_an_envelope_is_answered_with_its_receipt(door: AtWork, knocking: Knocking, sender: Sender) -> None:
    sealed = sender.seal()
    answer = await door.post(sealed)
    assert (answer.status_code, answer.headers["content-type"]) == (202, "application/vnd.relais.receipt")
    receipt = verify_receipt(answer.content, knocking.partner.directory.book.document(knocking.us.id))
    assert receipt.covers(sealed.id, sealed.envelope)
    await door.went_through(sealed)


async def test_the_same_envelope_again_gets_the_same_receipt_by_either_way(door: AtWork, sender: Sender) -> None:
    sealed = sender.seal()
    first, again = await door.post(sealed), await door.post(sealed)
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.content == first.content
    sent_before = len(door.receipts)
    await door.bring(sealed)
    await until(lambda: len(door.receipts) > sent_before, what="the receipt over the exchange")
    assert len(door.handed_on(sealed)) == 1


async def test_the_receipt_is_not_sent_over_the_exchange_as_well(door: AtWork, sender: Sender) -> None:
    sent_before = len(door.receipts)
    answered, brought = sender.seal(), sender.seal()
    await door.post(answered)
    await door.bring(brought)
    await until(lambda: len(door.receipts) > sent_before, what="the other receipt")
    assert len(door.receipts) == sent_before + 1


async def test_a_receipt_is_taken_without_an_answer(door: AtWork, knocking: Knocking) -> None:
    receipt = Sender.of(knocking.partner, knocking.us, KeyPurpose.RECEIPT).seal()
    answer = await door.post(receipt)
    assert (answer.status_code, answer.content) == (204, b"")
    await door.went_through(receipt)


async def test_whoever_has_or_had_an_agreement_is_heard_before_it_begins_and_for_weeks_after_its_end(
    door: AtWork, knocking: Knocking
) -> None:
    """What concludes something is sealed: the desk alone can tell it from what begins something."""
    for partner in (knocking.late, knocking.coming):
        sealed = Sender.of(partner, knocking.us).seal()
        assert (await door.post(sealed)).status_code == 202
        await door.went_through(sealed)


async def test_whoever_is_in_anothers_way_comes_again_and_the_envelope_is_not_lost(
    door: AtWork, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = inbox.admit

    async def admit(connection: Connection, messages: Mapping[UUID, bytes]) -> dict[UUID, bytes]:
        if messages:
            raise asyncpg.DeadlockDetectedError
        return await original(connection, messages)

    monkeypatch.setattr(shell, "CONTENTIONS", 0)
    monkeypatch.setattr(inbox, "admit", admit)
    sealed = sender.seal()
    answer = await door.post(sealed)
    assert is_problem(answer, 503, "try-again")
    assert int(answer.headers["retry-after"]) >= 1
    monkeypatch.undo()
    await door.went_through(sealed)
    assert (await door.post(sealed)).status_code == 200


def flipped(sealed: Sealed) -> Sealed:
    """Turn the last bit over."""
    return Sealed(sealed.id, sealed.envelope[:-1] + bytes([sealed.envelope[-1] ^ 1]), sealed.headers)


REFUSED: dict[str, tuple[int, str, Callable[[Sender, Knocking], Sealed]]] = {
    "empty": (400, "envelope-truncated", lambda sender, _: Sealed(sender.seal().id, b"", {})),
    "no headers": (400, "envelope-mislabelled", lambda sender, _: Sealed((s := sender.seal()).id, s.envelope, {})),
    "expired": (400, "envelope-expired", lambda sender, _: sender.seal(at=datetime.now(UTC) - 2 * DAY)),
    "misaddressed": (400, "envelope-not-for-us", lambda sender, them: sender.seal(to=them.stranger.id)),
    "former": (403, "agreement-expired", lambda _, them: Sender.of(them.former, them.us).seal()),
    "audit key": (
        403,
        "key-wrong-purpose",
        lambda sender, them: sender.seal(signer=them.partner.key(KeyPurpose.AUDIT_INTAKE)),
    ),
    "sealed to a key that is not ours": (
        400,
        "envelope-unknown-key",
        lambda sender, them: sender.seal(inbox=them.partner.inbox_key(them.partner.id)),
    ),
    "ahead": (503, "envelope-postdated", lambda sender, _: sender.seal(at=datetime.now(UTC) + DAY / 2)),
    "days ahead": (400, "envelope-misdated", lambda sender, _: sender.seal(at=datetime.now(UTC) + 2 * DAY)),
}


@pytest.mark.parametrize("kind", REFUSED)
async def test_what_is_refused_is_said_with_its_code(
    kind: str, door: AtWork, knocking: Knocking, sender: Sender
) -> None:
    status, code, make = REFUSED[kind]
    sealed = make(sender, knocking)
    answer = await door.post(sealed)
    assert is_problem(answer, status, code)
    assert ("retry-after" in answer.headers) == (status == 503)
    assert door.handed_on(sealed) == []


def unsigned(sealed: Sealed) -> Sealed:
    """Take the signature away."""
    return Sealed(sealed.id, sealed.envelope.replace(parse(sealed.envelope).signature, bytes(64)), dict(sealed.headers))


def naming(sender: Sender, key: KeyId) -> Sealed:
    """Name a key that did not sign."""
    return sender.seal(signer=replace(sender.signer, public=replace(sender.signer.public, id=key)))


async def test_whoever_has_signed_nothing_learns_nothing_of_whom_we_know(
    door: AtWork, knocking: Knocking, sender: Sender
) -> None:
    them = knocking.partner
    unrecognised = [
        Sender.of(knocking.stranger, knocking.us).seal(),
        sender.seal(signer=SigningKey.generate()),
        naming(sender, them.inbox_key(them.id).id),
        naming(sender, them.key(KeyPurpose.RECEIPT).id),
        flipped(sender.seal()),
        unsigned(sender.seal()),
    ]
    before = await door.count("held")
    answers = [await door.post(each) for each in unrecognised]
    assert all(is_problem(answer, 403, "sender-not-recognised") for answer in answers)
    assert len({(answer.content, tuple(sorted(answer.headers.items()))) for answer in answers}) == 1
    assert await door.count("held") == before


async def test_what_a_partner_sealed_for_somebody_else_leaves_nothing(
    door: AtWork, knocking: Knocking, sender: Sender
) -> None:
    """Whoever holds others' mail can bring it here: it must not fill what is kept, nor speak in the sender's name."""
    tables = ("held", "inbox", "audit_leaf")
    before = [await door.count(table) for table in tables]
    others = [
        sender.seal(to=knocking.stranger.id),
        Sender.of(knocking.stranger, knocking.us).seal(to=knocking.former.id),
    ]
    answers = [await door.post(each) for each in others]
    assert all(is_problem(answer, 400, "envelope-not-for-us") for answer in answers)
    assert len({answer.content for answer in answers}) == 1
    assert [await door.count(table) for table in tables] == before


async def test_an_envelope_is_read_and_verified_once(
    door: AtWork, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[Envelope] = []
    verify = Envelope.verify

    def counted(envelope: Envelope, key: VerifyKey) -> None:
        verified.append(envelope)
        verify(envelope, key)

    monkeypatch.setattr(Envelope, "verify", counted)
    sealed = sender.seal()
    assert (await door.post(sealed)).status_code == 202
    assert [each.header.id for each in verified] == [sealed.id]


async def test_what_a_partner_signed_and_may_not_say_is_kept_as_evidence(door: AtWork, sender: Sender) -> None:
    first = sender.seal()
    second = sender.seal(id_=first.id)
    assert (await door.post(first)).status_code == 202
    assert is_problem(await door.post(second), 409, "message-id-reused")
    assert await door.parked(second) == "message-id-reused"
    headers = await door.owner.fetchval("SELECT headers FROM held WHERE body = $1", second.envelope)
    assert set(json.loads(headers)) == set(second.headers)


async def test_what_was_refused_before_has_no_receipt(door: AtWork, knocking: Knocking) -> None:
    sealed = Sender.of(knocking.former, knocking.us).seal()
    assert is_problem(await door.post(sealed), 403, "agreement-expired")
    assert is_problem(await door.post(sealed), 409, "message-not-taken")


async def test_a_receipt_is_kept_for_as_long_as_its_envelope_may_be_taken_and_then_goes(
    door: AtWork, sender: Sender, move_clock: MoveClock
) -> None:
    young, old = sender.seal(), sender.seal()
    given = [await door.post(sealed) for sealed in (young, old)]
    assert [answer.status_code for answer in given] == [202, 202]
    aged = "UPDATE receipt SET at = now() - $2::interval WHERE message = $1"
    for sealed, age in ((young, MAX_LIFETIME), (old, KEEP_RECEIPTS + timedelta(minutes=1))):
        await door.owner.execute(aged, inbox_id(sender.organisation.id, sealed.id), age)
    await forget(door.app.state.entrance.pool)
    again = await door.post(young)
    assert (again.status_code, again.content) == (200, given[0].content)
    move_clock(2 * DAY)
    assert is_problem(await door.post(old), 400, "envelope-expired")
    assert len(door.handed_on(old)) == 1, "it has had its effect, and has no other"


async def test_a_body_of_another_type_is_not_read(door: AtWork, sender: Sender) -> None:
    answer = await door.post(sender.seal(), **{"content-type": "application/json"})
    assert is_problem(answer, 415, "media-type-unsupported")


@pytest.mark.parametrize("declared", [True, False])
async def test_what_is_too_large_is_not_read_to_its_end(declared: bool, door: AtWork) -> None:  # noqa: FBT001
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(64):
            read += 65_536
            yield bytes(65_536)

    headers = {"content-type": "application/vnd.relais.sealed"}
    if declared:
        headers["content-length"] = str(64 * 65_536)
    answer = await door.client.post("/events", content=endless(), headers=headers)
    assert is_problem(answer, 413, "request-too-large")
    assert read <= 6 * 65_536


async def kept_back(door: AtWork, sealed: Sealed) -> dict[str, Any]:
    """Wait until the envelope is kept back, and return what an operator is told of it."""
    await door.parked(sealed)
    held = await door.owner.fetchval(
        "SELECT id FROM held WHERE body = $1 OR digest = $2", sealed.envelope, sha256(sealed.envelope).digest()
    )
    answer = await door.client.get("/api/quarantine", headers=bearer(door, Role.OPERATOR))
    assert answer.status_code == 200
    assert answer.json()["count"] >= 1
    (kept,) = [each for each in answer.json()["messages"] if each["id"] == str(held)]
    assert kept.pop("id") == str(held)
    assert datetime.fromisoformat(kept.pop("since")) <= datetime.fromisoformat(kept.pop("last")) <= datetime.now(UTC)
    assert kept.pop("title") not in ("", kept["reason"])
    return dict(kept)


async def test_an_operator_sees_why_and_never_what(door: AtWork, sender: Sender) -> None:
    signed = sender.seal(CANARY.encode())
    bad = Sealed(signed.id, signed.envelope, {**signed.headers, "ce-subject": "x"})
    await door.bring(bad)
    assert await kept_back(door, bad) == {
        "source": f"to.{door.us}.from.{door.partner}",
        "origin": f"from.{door.partner}",
        "reason": "envelope-mislabelled",
        "attempts": 1,
        "count": 1,
        "size": 4_096,
        "sha256": None,
        "headers": [],
    }


async def test_of_what_nobody_signed_an_operator_sees_how_many_and_of_the_last_how_large_it_was(
    door: AtWork, sender: Sender
) -> None:
    headers = {"ce-id": CANARY, "X-Other": "x", "relais-size": "7", "traceparent": CANARY, f"{CANARY}-é": "x"}
    first, last = (Sealed(sender.seal().id, urandom(size), headers) for size in (300_000, 262_145))
    await door.bring(first, last)
    assert await kept_back(door, last) == {
        "source": f"to.{door.us}.from.{door.partner}",
        "origin": f"from.{door.partner}",
        "reason": "envelope-oversized",
        "attempts": 1,
        "count": 2,
        "size": 262_145,
        "sha256": sha256(last.envelope).hexdigest(),
        "headers": ["ce-id", "relais-size", "traceparent"],
    }


async def test_others_see_no_quarantine(door: AtWork) -> None:
    assert is_problem(await door.client.get("/api/quarantine"), 401, "not-signed-in")
    wrong = await door.client.get("/api/quarantine", headers={"authorization": "Bearer nobody"})
    assert is_problem(wrong, 401, "not-signed-in")
    caseworker = await door.client.get("/api/quarantine", headers=bearer(door, Role.CASEWORKER))
    assert is_problem(caseworker, 404, "not-found")


def bearer(door: AtWork, role: Role) -> dict[str, str]:
    """Sign in as a member of staff."""
    return {"authorization": f"Bearer {door.tokens[role]}"}


async def test_the_door_says_whether_it_can_work(door: AtWork) -> None:
    answer = await door.client.get("/health/ready")
    assert answer.json() == {"node": True, "exchange": True, "consumers": True, "keys": True, "database": True}
