"""What cannot be sealed is left out before it takes a number, and the log says for whom."""

from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from uuid import uuid4

from shared.contracts.event import Event, EventId
from shared.contracts.ids import OrganisationId
from shared.messaging.sealer import Outgoing, Place, Sealer
from shared.sealing.keyring import Holder
from shared.sealing.keys import KeyPurpose
from shared.telemetry import logs
from tests.support.partners import Organisation


def test_a_partner_without_a_key_to_seal_to_is_left_out_and_said(tmp_path: Path) -> None:
    us, partner = (Organisation.make(tmp_path, OrganisationId(name)) for name in ("abri-be", "ccem-fr"))
    us.agree_with(partner)
    sealer = Sealer(us.id, us.keyring(Holder.INTAKE), us.directory, KeyPurpose.RECEIPT)
    at = datetime.now(UTC)
    event, place = Event(id=EventId(uuid4()), at=at), Place("exchange", "from.abri-be", "ccem-fr")
    known, unknown = (Outgoing(OrganisationId(name), event, place) for name in ("ccem-fr", "accueil-fr"))
    stream = StringIO()
    logs.configure("info", "json", stream)
    try:
        assert sealer.sealable([unknown, known, unknown], at) == [known]
    finally:
        logs.restore()
    said = stream.getvalue()
    assert said.count('"event": "envelope.unsealed"') == 2
    assert '"recipient": "accueil-fr", "reason": "organisation-unknown"' in said
