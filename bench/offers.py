"""Sealed offers to receive: each of 2 KB, about a person who does not exist, and none the same as another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import uuid4

from shared.contracts.codes import (
    AgeBand,
    Exploitation,
    Finding,
    MeansOfControl,
    Need,
    Purpose,
    ReferralKind,
    Sex,
    Urgency,
)
from shared.contracts.event import EventId, encode
from shared.contracts.event_data import OfferedData, Terms
from shared.contracts.exchange import ReferralOffered
from shared.contracts.ids import ConversationId, MessageId, OrganisationId, ReferralId
from shared.contracts.packet import ExploitationRecord, Packet, Risk, Summary
from shared.contracts.packet_codes import RiskLevel
from shared.messaging import places
from shared.sealing.directory import Directory
from shared.sealing.envelope import Dispatch, seal
from shared.sealing.keyring import Holder, read_keyring
from shared.sealing.keys import KeyPurpose

BODY_BYTES: Final = 2_048
LIVES: Final = timedelta(days=7)
HEADERS: Final[Mapping[str, str]] = {
    places.VERDICT: places.VERIFIED,
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
}
"""What intake says beside an envelope; the trace is one that is not kept."""

TEXT: Final = "Elle dort mal, ne veut pas être appelée le soir et demande une interprète. "


@dataclass(frozen=True, slots=True)
class Offer:
    """One message as intake hands it on."""

    id: MessageId
    envelope: bytes = field(repr=False)
    headers: Mapping[str, str]


def offers_for(us: OrganisationId, folder: Path, passphrase: str, count: int, at: datetime) -> Sequence[Offer]:
    """Return ``count`` offers to ``us``, sealed (suite 1) by the organisation whose keys are in ``folder``."""
    keyring = read_keyring(folder, Holder.REFERRAL, passphrase)
    inbox = [Directory(folder).book.inbox_key(us, at)]
    signer = keyring.signing_key(KeyPurpose.SIGNING, at)
    made = []
    for number in range(1, count + 1):
        message = MessageId(uuid4())
        dispatch = Dispatch(message, keyring.organisation, us, number, at, at + LIVES)
        made.append(Offer(message, seal(body(at), dispatch, signer, inbox), HEADERS))
    return made


def body(at: datetime) -> bytes:
    """Return an offer of exactly 2,048 bytes: the three categories that every offer in ``examples/`` has."""
    short = encode(_event(at, "."))
    text = (TEXT * 40).encode()[: BODY_BYTES - len(short)].decode(errors="ignore").strip()
    bare = encode(_event(at, text))
    return encode(_event(at, text + "." * (BODY_BYTES - len(bare))))


def _event(at: datetime, notes: str) -> ReferralOffered:
    return ReferralOffered(
        id=EventId(uuid4()),
        at=at,
        conversation=ConversationId(uuid4()),
        referral=ReferralId(uuid4()),
        n=1,
        seen=0,
        data=OfferedData(
            kind=ReferralKind.TRANSFER,
            urgency=Urgency.URGENT,
            packet=Packet(summary=SUMMARY, exploitation=EXPLOITATION, risk=RISK.model_copy(update={"notes": notes})),
            terms=Terms(purposes=frozenset({Purpose.SUPPORT}), feedback=True),
        ),
    )


SUMMARY: Final = Summary(
    needs=frozenset({Need.SAFE_SHELTER, Need.PSYCHOLOGICAL, Need.RESIDENCE_PROCEDURE}),
    age_band=AgeBand.FROM_25_TO_34,
    sex=Sex.FEMALE,
    languages=("tgl", "eng"),
    country="FR",
    interpreter=True,
    avoid_areas=("Port-Imaginaire",),
)

EXPLOITATION: Final = ExploitationRecord(
    forms=frozenset({Exploitation.DOMESTIC_SERVITUDE}),
    control=frozenset(
        {MeansOfControl.WITHHOLDS_DOCUMENTS, MeansOfControl.RESTRICTS_MOVEMENT, MeansOfControl.TAKES_EARNINGS}
    ),
    began=date(2024, 3, 1),
    ongoing=Finding.NO,
    countries=("LB", "FR"),
    recruited_in="PH",
)

RISK: Final = Risk(level=RiskLevel.HIGH, searched_for=Finding.YES, measures=TEXT)
