"""What cannot be sealed is known before it takes a number, and the log says for whom."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, cast
from uuid import uuid4

import pytest

from shared.contracts.event import EventId
from shared.contracts.ids import MessageId, OrganisationId
from shared.contracts.receipt import ReceiptGiven, ReceiptGivenData
from shared.messaging.sealer import Outgoing, Sealer
from shared.sealing.codes import DirectoryError
from shared.sealing.keyring import Holder
from shared.sealing.keys import KeyPurpose
from shared.telemetry import logs
from tests.support.partners import Organisation

if TYPE_CHECKING:
    from shared.storage.pool import Connection


async def test_a_partner_without_a_key_to_seal_to_is_left_out_before_a_number_is_taken(tmp_path: Path) -> None:
    us, partner = (Organisation.make(tmp_path, OrganisationId(name)) for name in ("abri-be", "ccem-fr"))
    us.agree_with(partner)
    sealer = Sealer(us.id, us.keyring(Holder.INTAKE), us.directory, KeyPurpose.RECEIPT)
    at = datetime.now(UTC)
    event = ReceiptGiven(id=EventId(uuid4()), at=at, data=ReceiptGivenData(message=MessageId(uuid4()), note="a note"))
    unknown, nowhere = Outgoing(OrganisationId("accueil-fr"), event), cast("Connection", None)
    stream = StringIO()
    logs.configure("info", "json", stream)
    try:
        assert await sealer.seal(nowhere, [unknown, unknown], at, leave_out=True) == []
        with pytest.raises(DirectoryError):
            await sealer.seal(nowhere, [unknown], at)
    finally:
        logs.restore()
    said = stream.getvalue()
    assert said.count('"event": "envelope.unsealed"') == 2
    assert '"recipient": "accueil-fr", "reason": "organisation-unknown"' in said


def test_what_hinders_sealing_is_a_key_of_theirs_or_of_ours(tmp_path: Path) -> None:
    us, partner = (Organisation.make(tmp_path, OrganisationId(name)) for name in ("abri-be", "ccem-fr"))
    us.agree_with(partner)
    sealer = Sealer(us.id, us.keyring(Holder.REFERRAL), us.directory, KeyPurpose.SIGNING)
    at = datetime.now(UTC)
    assert sealer.hindrance(partner.id, at) is None
    assert sealer.hindrance(OrganisationId("accueil-fr"), at) == "organisation-unknown"
    assert sealer.hindrance(partner.id, at + timedelta(weeks=14)) == "agreement-expired"
    assert sealer.hindrance(us.id, at + timedelta(weeks=14)) == "key-unknown"
    us.agree_with(partner, ends=timedelta(days=3_000))
    renewed = Sealer(us.id, us.keyring(Holder.REFERRAL), us.directory, KeyPurpose.SIGNING)
    assert renewed.hindrance(partner.id, at + timedelta(weeks=14)) == "key-unknown"
    elsewhere = Sealer(us.id, us.keyring(Holder.INTAKE), us.directory, KeyPurpose.SIGNING)
    assert elsewhere.hindrance(partner.id, at) == "keyring-key-missing"


def test_for_eight_weeks_after_an_agreement_has_ended_what_is_left_to_say_is_sealed(tmp_path: Path) -> None:
    us, partner = (Organisation.make(tmp_path, OrganisationId(name)) for name in ("abri-be", "ccem-fr"))
    us.agree_with(partner, begins=timedelta(days=1), ends=timedelta(days=2))
    sealer = Sealer(us.id, us.keyring(Holder.REFERRAL), us.directory, KeyPurpose.SIGNING)
    agreement = us.directory.book.counting(partner.id, datetime.now(UTC))
    assert agreement is not None
    last = agreement.valid_until + timedelta(weeks=8)
    for at in (agreement.valid_from - timedelta(days=1), agreement.valid_until, last - timedelta(seconds=1)):
        assert sealer.hindrance(partner.id, at) is None
    assert sealer.hindrance(partner.id, last) == "agreement-expired"
    assert sealer.hindrance(us.id, last) is None


async def test_what_a_partner_does_not_hear_is_not_sealed(tmp_path: Path) -> None:
    us, partner = (Organisation.make(tmp_path, OrganisationId(name)) for name in ("abri-be", "ccem-fr"))
    us.agree_with(partner)
    partner.publish_again(us, deaf_to={"receipt.given.v1", "referral.offered.v1"})
    sealer = Sealer(us.id, us.keyring(Holder.INTAKE), us.directory, KeyPurpose.RECEIPT)
    at = datetime.now(UTC)
    assert sealer.hindrance(partner.id, at, ["referral.asked.v1"]) is None
    assert sealer.hindrance(partner.id, at, ["referral.asked.v1", "referral.offered.v1"]) == "event-type-unheard"
    data = ReceiptGivenData(message=MessageId(uuid4()), note="a note")
    receipt = Outgoing(partner.id, ReceiptGiven(id=EventId(uuid4()), at=at, data=data))
    assert await sealer.seal(cast("Connection", None), [receipt], at, leave_out=True) == []
