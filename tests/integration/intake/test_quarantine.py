"""What anybody may send fills neither the disk nor anybody's day; what a partner signed is kept, up to a bound."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from os import urandom
from pathlib import Path

import pytest

from services.intake.hears import Door
from shared.clock import Clock
from shared.contracts.facts import Fact, FactCode
from shared.messaging.quarantine import COUNTED_FOR, QuarantineWatch
from shared.messaging.room import MOST_KEPT
from shared.sealing.keys import KeyPurpose, SigningKey
from shared.telemetry import metrics
from tests.integration.intake.conftest import AtWork, Knocking, MoveClock
from tests.support.partners import Sealed, Sender
from tests.support.wait import until

PIECES = 1_000
CANARY = b"Canary Name, held in a flat near the station"


@pytest.fixture
def sender(knocking: Knocking) -> Sender:
    """The partner's referral service."""
    return Sender.of(knocking.partner, knocking.us)


@pytest.fixture(autouse=True)
async def empty(door: AtWork) -> None:
    """Let nothing be kept back, not even what is being tried again: its row is another one afterwards."""
    await door.owner.execute("TRUNCATE held")


def rubbish(sender: Sender, knocking: Knocking) -> list[Sealed]:
    """Return a thousand pieces, of which no two are alike, that nobody whom we know has signed."""
    honest = sender.seal(CANARY)
    stranger = Sender.of(knocking.stranger, knocking.us).seal(CANARY)

    def said(envelope: bytes, number: int) -> Sealed:
        return Sealed(honest.id, envelope, {**honest.headers, "x-note": f"{CANARY.decode()} {number}"})

    def made(number: int) -> Iterator[Sealed]:
        yield said(CANARY + urandom(16), number)
        yield said((CANARY + urandom(16)).ljust(4_096), number)
        yield said(honest.envelope[:-8] + urandom(8), number)
        yield said(stranger.envelope, number)

    return [each for number in range(PIECES // 4) for each in made(number)]


async def counted(door: AtWork) -> int:
    """Return how many messages are known only by their number."""
    return int(await door.owner.fetchval("SELECT coalesce(sum(count), 0) FROM held WHERE size IS NOT NULL"))


async def test_a_thousand_pieces_of_rubbish_leave_few_rows_and_few_alarms_and_stop_nothing(
    door: AtWork, knocking: Knocking, sender: Sender, lines: StringIO
) -> None:
    behind = sender.seal()
    await door.bring(*rubbish(sender, knocking), behind)
    await door.went_through(behind)
    assert await counted(door) == PIECES
    rows = await door.owner.fetch("SELECT id, reason, origin, headers, body FROM held")
    assert {row["reason"] for row in rows} == {
        "envelope-truncated",
        "envelope-malformed",
        "envelope-altered",
        "organisation-unknown",
    }
    assert len(rows) == 4
    assert {(row["origin"], row["body"]) for row in rows} == {(f"from.{door.partner}", b"")}
    assert b"Canary" not in str([row["headers"] for row in rows]).encode()
    ids = {row["id"] for row in rows}

    def told() -> list[Fact]:
        return [fact for fact in door.facts if fact.subject in ids]

    await until(lambda: len(told()) >= len(ids), what="an alarm for each")
    assert [fact.code for fact in told()] == [FactCode.MESSAGE_PARKED] * 4
    assert lines.getvalue().count('"message.parked"') == 4
    assert "Canary" not in lines.getvalue()


async def test_what_a_partner_signed_is_kept_whole_up_to_a_bound_and_then_counted(
    door: AtWork, knocking: Knocking, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Door, "most_kept", lambda *_: 3)
    wrong = [sender.seal(CANARY, signer=knocking.partner.key(KeyPurpose.AUDIT_INTAKE)) for _ in range(5)]
    behind = sender.seal()
    await door.bring(*wrong, behind)
    await door.went_through(behind)
    rows = await door.owner.fetch("SELECT body, reason, count FROM held WHERE due_at IS NULL ORDER BY size NULLS FIRST")
    assert {row["body"] for row in rows[:3]} <= {each.envelope for each in wrong}
    assert [(row["body"], row["reason"], row["count"]) for row in rows[3:]] == [(b"", "key-wrong-purpose", 2)]

    refused = [json.loads(line)["detail"] for line in await door.entries("message.refused")][-4:]
    assert [each.get("count") for each in refused].count(None) == 3, "what is kept is written down, each"
    assert {each["reason"] for each in refused} == {"key-wrong-purpose"}
    assert sum(int(each.get("count", 0)) for each in refused) in {1, 2}, "and the rest once, with how many there are"
    written = len(await door.entries("message.refused"))
    later = [sender.seal(CANARY, signer=knocking.partner.key(KeyPurpose.AUDIT_INTAKE)) for _ in range(5)]
    await door.bring(*later, behind := sender.seal())
    await door.went_through(behind)
    assert await counted(door) == 2 + len(later)
    assert len(await door.entries("message.refused")) == written, "once a day is often enough"

    posted = [Sender.of(knocking.former, knocking.us).seal(CANARY) for _ in range(5)]
    for each in posted:
        assert (await door.post(each)).json()["code"] == "agreement-expired"
    (row,) = await door.owner.fetch("SELECT count FROM held WHERE origin = $1 AND size IS NOT NULL", knocking.former.id)
    assert row["count"] == 2


async def test_what_only_waits_has_a_room_of_its_own(
    door: AtWork, knocking: Knocking, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Door, "most_kept", lambda _, hold: 5 if hold.due_at else 1)
    early = [sender.seal(CANARY, signer=SigningKey.generate()) for _ in range(3)]
    early.append(sender.seal(at=datetime.now(UTC) + timedelta(hours=1)))
    wrong = [sender.seal(CANARY, signer=knocking.partner.key(KeyPurpose.AUDIT_INTAKE)) for _ in range(2)]
    behind = sender.seal()
    await door.bring(*early, *wrong, behind)
    await door.went_through(behind)
    assert await _wait(door) == {each.envelope for each in early}
    assert await counted(door) == 1
    further = sender.seal(CANARY, signer=SigningKey.generate())
    await door.bring(further)
    everything = {each.envelope for each in (*early, further)}

    async def kept() -> bool:
        return await _wait(door) == everything

    await until(kept, what="what waits, though what is refused has no room left")
    await QuarantineWatch(door.app.state.entrance.pool, Clock(), Door.name).step()
    assert metrics.REGISTRY.get_sample_value("relais_quarantine_full_ratio", {"service": "intake"}) == 1 / MOST_KEPT


async def test_what_waits_beyond_its_room_is_counted_and_taken_when_it_is_said_again(
    door: AtWork, sender: Sender, monkeypatch: pytest.MonkeyPatch, move_clock: MoveClock
) -> None:
    """Whoever has a partner's way in, and no key, signs with any key in its name, and must not fill the disk."""
    monkeypatch.setattr(Door, "most_kept", lambda *_: 2)
    forged = [sender.seal(CANARY, signer=SigningKey.generate()) for _ in range(5)]
    ahead = sender.seal(at=datetime.now(UTC) + timedelta(hours=1))
    await door.bring(*forged, ahead, behind := sender.seal())
    await door.went_through(behind)
    assert await _wait(door) < {each.envelope for each in forged}
    rows = await door.owner.fetch("SELECT reason, count, body FROM held WHERE size IS NOT NULL ORDER BY reason")
    assert [tuple(row) for row in rows] == [("envelope-postdated", 1, b""), ("key-unknown", 3, b"")]
    move_clock(timedelta(hours=1))
    await door.bring(ahead)
    await door.went_through(ahead)
    assert (await door.post(ahead)).status_code == 200, "its receipt is there"


async def _wait(door: AtWork) -> set[bytes]:
    """Return the envelopes that wait."""
    return {row["body"] for row in await door.owner.fetch("SELECT body FROM held WHERE due_at IS NOT NULL")}


async def test_how_full_it_is_shows_and_what_is_only_counted_is_forgotten_in_time(
    door: AtWork, sender: Sender, tmp_path: Path
) -> None:
    signed = sender.seal()
    await door.bring(replace(signed, headers={}), Sealed(signed.id, bytes(262_145), {}))
    await until(lambda: door.count_is("held", 2), what="one kept whole and one counted")
    offset = tmp_path / "offset"
    watch = QuarantineWatch(door.app.state.entrance.pool, Clock(offset), Door.name)
    for after, left in ((COUNTED_FOR - timedelta(hours=1), 2), (COUNTED_FOR + timedelta(hours=1), 1)):
        offset.write_text(str(after.total_seconds()))
        await watch.step()
        assert await door.count("held") == left
    full = metrics.REGISTRY.get_sample_value("relais_quarantine_full_ratio", {"service": "intake"})
    assert full == 1 / MOST_KEPT
    assert await door.parked(signed) == "envelope-mislabelled"
