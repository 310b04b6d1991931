"""Envelopes over AMQP: what is let in, what is kept back, and what the sender can prove afterwards."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from aio_pika.abc import AbstractIncomingMessage

from services.intake.domain.sequence import PATIENCE
from shared.audit.checkpoint import open_checkpoint
from shared.audit.merkle import leaf_hash
from shared.contracts.codes import Urgency
from shared.contracts.facts import Audience, FactCode
from shared.contracts.ids import KeyId, OrganisationId
from shared.contracts.receipt import ReceiptGiven
from shared.messaging import places
from shared.messaging.delivery import Delivery
from shared.sealing.documents import note_verifier
from shared.sealing.envelope import open_body, parse
from shared.sealing.header import CONTENT_TYPE, MAX_LIFETIME
from shared.sealing.keyring import Holder
from shared.sealing.keys import InboxKey, KeyPurpose, SigningKey
from shared.sealing.receipts import Receipt, verify_receipt
from shared.sealing.suites import Suite
from tests.integration.intake.conftest import AtWork, Knocking, MoveClock
from tests.support.partners import DAY, Organisation, Sealed, Sender, verifier
from tests.support.wait import until

CANARY = b'{"name": "Canary Name, held in a flat near the station"}'


@pytest.fixture(scope="module")
def sender(knocking: Knocking) -> Sender:
    """The partner's referral service, which numbers what it seals."""
    return Sender.of(knocking.partner, knocking.us)


def opened(message: AbstractIncomingMessage, knocking: Knocking) -> ReceiptGiven:
    """Read an envelope as the partner's own services do: verify, open, parse."""
    return read_receipt(message.body, knocking.partner, knocking.us.id)


@cache
def read_receipt(envelope: bytes, partner: Organisation, us: OrganisationId) -> ReceiptGiven:
    """Return the receipt in an envelope of ours, as ``partner`` reads it."""
    read = parse(envelope)
    read.verify(verifier(partner.directory.book, us, read.header.key_id, KeyPurpose.RECEIPT))
    return ReceiptGiven.model_validate_json(open_body(read, inbox_key_of(partner, read.header.inbox_keys, read.suite)))


@cache
def inbox_key_of(partner: Organisation, ids: tuple[KeyId, ...], suite: Suite) -> InboxKey:
    """Return the key that opens what is sealed to ``partner``."""
    return partner.keyring(Holder.REFERRAL).inbox_key(ids, suite)


async def receipts_for(door: AtWork, knocking: Knocking, sealed: Sealed, count: int = 1) -> list[ReceiptGiven]:
    """Wait for ``count`` receipts of this message at the partner."""

    def look() -> list[ReceiptGiven]:
        found = [each for each in (opened(m, knocking) for m in door.receipts) if each.data.message == sealed.id]
        return found if len(found) >= count else []

    return await until(look, seconds=10, what="a receipt")


def verified(note: str, knocking: Knocking) -> Receipt:
    """Verify a receipt offline, with nothing but the partner's view of our keys."""
    return verify_receipt(note, knocking.partner.directory.book.document(knocking.us.id))


async def test_a_message_goes_on_as_it_came_and_its_sender_can_prove_it(
    door: AtWork, knocking: Knocking, sender: Sender
) -> None:
    sealed = sender.seal(CANARY)
    await door.bring(sealed)
    message = await door.went_through(sealed)
    assert message.headers["relais-verdict"] == "verified"
    (given,) = await receipts_for(door, knocking, sealed)
    receipt = verified(given.data.note, knocking)
    assert receipt.covers(sealed.id, sealed.envelope)
    assert (receipt.sender, receipt.recipient) == (knocking.partner.id, knocking.us.id)
    leaves = await door.owner.fetch("SELECT commitment, content FROM audit_leaf")
    (arrival,) = [row["content"] for row in leaves if leaf_hash(row["commitment"]) == receipt.leaf]
    entry = json.loads(bytes(arrival)[32:])
    assert (entry["code"], entry["subject"]) == ("message.received", str(sealed.id))
    assert entry["detail"]["digest"] == sha256(sealed.envelope).hexdigest()


async def test_what_the_partner_gets_says_nothing_on_the_outside(
    door: AtWork, knocking: Knocking, sender: Sender
) -> None:
    sealed = sender.seal()
    await door.bring(sealed)
    await receipts_for(door, knocking, sealed)
    for message in door.receipts:
        header = parse(message.body).header
        assert {name for name in message.headers if not name.startswith("x-")} == {
            f"ce-{name}" for name in header.attributes()
        }
        assert message.message_id == str(header.id)
        assert message.content_type == CONTENT_TYPE


async def test_receipts_are_numbered_without_a_gap_whoever_gives_them(
    door: AtWork, knocking: Knocking, sender: Sender
) -> None:
    messages = [sender.seal() for _ in range(24)]
    shell = door.app.state.entrance.events
    queue = places.to_queue(door.us, door.partner)
    read = shell.read([Delivery(each.envelope, each.headers, queue) for each in messages])
    await asyncio.gather(*(shell.take(read[start : start + 6]) for start in range(0, 24, 6)))
    for sealed in messages:
        await receipts_for(door, knocking, sealed)
    numbers = [parse(message.body).header.sequence for message in door.receipts]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))


async def test_the_same_bytes_again_get_the_same_receipt_and_nothing_else(
    door: AtWork, knocking: Knocking, sender: Sender
) -> None:
    sealed = sender.seal()
    await door.bring(sealed)
    (first,) = await receipts_for(door, knocking, sealed)
    await door.bring(sealed)
    _, again = await receipts_for(door, knocking, sealed, count=2)
    assert again.data.note == first.data.note
    assert again.id == first.id
    assert len(door.handed_on(sealed)) == 1


async def test_a_receipt_is_handed_on_and_never_answered(door: AtWork, knocking: Knocking, sender: Sender) -> None:
    receipt = Sender.of(knocking.partner, knocking.us, KeyPurpose.RECEIPT).seal()
    behind = sender.seal()
    await door.bring(receipt, behind)
    await door.went_through(receipt)
    await receipts_for(door, knocking, behind)
    assert [each for each in door.receipts if opened(each, knocking).data.message == receipt.id] == []
    assert any(str(receipt.id) in entry for entry in await door.entries("receipt.received"))


def altered(sealed: Sealed, at: int = -1) -> Sealed:
    """Turn one bit of an envelope over."""
    envelope = bytearray(sealed.envelope)
    envelope[at] ^= 1
    return Sealed(sealed.id, bytes(envelope), sealed.headers)


def unsigned(sealed: Sealed) -> Sealed:
    """Take the signature away."""
    at = sealed.envelope.index(parse(sealed.envelope).signature)
    return Sealed(sealed.id, sealed.envelope[:at] + bytes(64) + sealed.envelope[at + 64 :], sealed.headers)


def forged(sender: Sender, them: Knocking) -> Sealed:
    """Sign with another organisation's key, and name the partner's."""
    hand = them.stranger.key(KeyPurpose.SIGNING)
    return sender.seal(CANARY, signer=replace(hand, public=sender.signer.public))


def relabelled(sealed: Sealed, **headers: str) -> Sealed:
    """Say something else on the outside."""
    changed = {f"ce-{name}": value for name, value in headers.items()}
    return Sealed(sealed.id, sealed.envelope, {**sealed.headers, **changed})


BAD: dict[str, tuple[str, Callable[[Sender, Knocking], Sealed]]] = {
    "unsigned": ("envelope-unsigned", lambda sender, _: unsigned(sender.seal(CANARY))),
    "altered body": ("envelope-altered", lambda sender, _: altered(sender.seal(CANARY))),
    "altered header": ("envelope-malformed", lambda sender, _: altered(sender.seal(CANARY), 13)),
    "truncated": (
        "envelope-truncated",
        lambda sender, _: Sealed((cut := sender.seal(CANARY)).id, cut.envelope[:4_000], cut.headers),
    ),
    "oversized": (
        "envelope-oversized",
        lambda sender, _: Sealed((one := sender.seal(CANARY)).id, one.envelope + bytes(262_144), one.headers),
    ),
    "not an envelope": ("envelope-malformed", lambda sender, _: Sealed(sender.seal().id, CANARY.ljust(4_096), {})),
    "to somebody else": (
        "envelope-not-for-us",
        lambda sender, them: sender.seal(CANARY, to=them.stranger.id),
    ),
    "expired": ("envelope-expired", lambda sender, _: sender.seal(CANARY, at=datetime.now(UTC) - 2 * DAY)),
    "unknown organisation": ("organisation-unknown", lambda _, them: Sender.of(them.stranger, them.us).seal(CANARY)),
    "agreement ended": ("agreement-expired", lambda _, them: Sender.of(them.former, them.us).seal(CANARY)),
    "swapped ce- headers": (
        "envelope-mislabelled",
        lambda sender, _: relabelled(sender.seal(CANARY), id=str(UUID(int=1))),
    ),
    "a ce- header too many": ("envelope-mislabelled", lambda sender, _: relabelled(sender.seal(CANARY), subject="x")),
    "no ce- headers": (
        "envelope-mislabelled",
        lambda sender, _: Sealed((bare := sender.seal(CANARY)).id, bare.envelope, {}),
    ),
    "an audit key": (
        "key-wrong-purpose",
        lambda sender, them: sender.seal(CANARY, signer=them.partner.key(KeyPurpose.AUDIT_INTAKE)),
    ),
    "somebody else's hand": ("envelope-altered", forged),
    "sealed to a key that is not ours": (
        "envelope-unknown-key",
        lambda sender, them: sender.seal(CANARY, inbox=them.partner.inbox_key(them.partner.id)),
    ),
}
"""What knocks, and the code with which it is kept back."""


@pytest.mark.parametrize("kind", BAD)
async def test_what_is_bad_is_kept_back_and_what_is_behind_it_goes_through(
    kind: str, door: AtWork, knocking: Knocking, sender: Sender, lines: StringIO
) -> None:
    code, make = BAD[kind]
    bad, behind = make(sender, knocking), sender.seal()
    await door.bring(bad, behind)
    assert await door.parked(bad) == code
    await door.went_through(behind)
    assert door.handed_on(bad) == []
    assert [each for each in door.receipts if opened(each, knocking).data.message == bad.id] == []
    assert "Canary" not in lines.getvalue()


async def test_a_key_of_ours_opens_for_as_long_as_an_envelope_lives_and_then_no_more(
    door: AtWork, knocking: Knocking, sender: Sender
) -> None:
    late, too_late = knocking.us.publish_inbox(MAX_LIFETIME - timedelta(minutes=5), MAX_LIFETIME + timedelta(minutes=5))
    taken, refused = sender.seal(inbox=late), sender.seal(CANARY, inbox=too_late)
    await door.bring(refused, taken)
    await door.went_through(taken)
    await receipts_for(door, knocking, taken)
    assert await door.parked(refused) == "envelope-unknown-key"
    assert door.handed_on(refused) == []


async def test_an_operator_is_told_of_what_is_kept_back(door: AtWork, sender: Sender) -> None:
    bad = relabelled(sender.seal(), subject="x")
    await door.bring(bad)
    await door.parked(bad)
    held = await door.owner.fetchval("SELECT id FROM held WHERE body = $1", bad.envelope)
    facts = await until(lambda: [fact for fact in door.facts if fact.subject == held], what="a fact")
    assert [(fact.code, fact.audience, fact.urgency) for fact in facts] == [
        (FactCode.MESSAGE_PARKED, Audience.OPERATOR, Urgency.URGENT)
    ]


async def test_the_same_id_with_other_bytes_is_kept_as_evidence(
    door: AtWork, knocking: Knocking, sender: Sender
) -> None:
    first = sender.seal()
    second = sender.seal(CANARY, id_=first.id)
    await door.bring(first)
    await receipts_for(door, knocking, first)
    await door.bring(second)
    assert await door.parked(second) == "message-id-reused"
    assert door.handed_on(second) == []
    refused = [json.loads(entry) for entry in await door.entries("message.refused")]
    (entry,) = [each for each in refused if each["subject"] == str(first.id)]
    assert entry["detail"]["reason"] == "message-id-reused"
    assert entry["detail"]["digest"] == sha256(second.envelope).hexdigest()


async def test_two_senders_may_choose_the_same_id(door: AtWork, knocking: Knocking, sender: Sender) -> None:
    theirs = Sender.of(knocking.former, knocking.us).seal()
    ours = sender.seal(id_=theirs.id)
    await door.bring(theirs, ours)
    assert await door.parked(theirs) == "agreement-expired"
    await door.went_through(ours)


async def test_a_key_that_is_not_here_yet_is_waited_for(door: AtWork, knocking: Knocking, sender: Sender) -> None:
    key = SigningKey.generate()
    sealed, behind = sender.seal(signer=key), sender.seal()
    await door.bring(sealed, behind)
    await door.went_through(behind)
    later = "UPDATE held SET due_at = due_at + interval '1 hour' WHERE body = $1 AND reason = 'key-unknown'"

    async def put_off() -> bool:  # while it is tried, its row is another one
        return await door.owner.execute(later, sealed.envelope) == "UPDATE 1"

    await until(put_off, what="the message that waits")
    knocking.partner.publish(knocking.us, KeyPurpose.SIGNING, key)
    await door.went_through(sealed)
    await receipts_for(door, knocking, sealed)
    assert await door.owner.fetchval("SELECT count(*) FROM held WHERE body = $1", sealed.envelope) == 0


async def test_a_clock_that_is_ahead_is_waited_for(door: AtWork, sender: Sender, move_clock: MoveClock) -> None:
    sealed, behind = sender.seal(at=datetime.now(UTC) + timedelta(hours=1)), sender.seal()
    await door.bring(sealed, behind)
    await door.went_through(behind)
    assert await door.owner.fetchval("SELECT reason FROM held WHERE body = $1", sealed.envelope) == "envelope-postdated"
    move_clock(timedelta(hours=1))
    await door.went_through(sealed)


async def test_numbers_that_do_not_come_are_written_down(door: AtWork, sender: Sender, move_clock: MoveClock) -> None:
    sender.skip(3)
    sealed = sender.seal()
    last = parse(sealed.envelope).header.sequence - 1
    await door.bring(sealed)
    await door.went_through(sealed)
    move_clock(2 * PATIENCE)

    async def gap() -> list[Any]:
        gaps = [json.loads(entry)["detail"] for entry in await door.entries("sequence.gap")]
        return [each for each in gaps if each["last"] == str(last)]

    (found,) = await until(gap, seconds=10, what="the gap in the audit log")
    assert (int(found["first"]) <= last - 2, found["voice"]) == (True, "referral")


async def test_the_audit_log_is_signed(door: AtWork, knocking: Knocking, sender: Sender) -> None:
    sealed = sender.seal()
    await door.bring(sealed)
    await door.went_through(sealed)

    async def covered() -> bool:
        entries = await door.count("audit_leaf")
        return bool(await door.owner.fetchval("SELECT max(size) = $1 FROM audit_checkpoint", entries))

    await until(covered, seconds=10, what="a checkpoint over every entry")
    note = await door.owner.fetchval("SELECT note FROM audit_checkpoint ORDER BY size DESC LIMIT 1")
    key = knocking.us.key(KeyPurpose.AUDIT_INTAKE).public
    verifier = note_verifier(knocking.us.id, KeyPurpose.AUDIT_INTAKE, key)
    assert open_checkpoint(note, [verifier]).size == await door.count("audit_leaf")


def test_the_door_keeps_no_way_to_read(knocking: Knocking) -> None:
    keyring = knocking.us.keyring(Holder.INTAKE)
    assert {held.purpose for held in keyring.keys} == {KeyPurpose.RECEIPT, KeyPurpose.AUDIT_INTAKE}
    assert keyring.storage == ()
