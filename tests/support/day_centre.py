"""The day centre of ``examples/partner_system`` and an organisation with a node, who have become partners on paper.

The centre is the example's own code, the house is ours: real keys, real envelopes, what a node says and refuses.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from examples.partner_system.desk import Desk
from examples.partner_system.folder import Folder
from examples.partner_system.happened import Happened
from examples.partner_system.keys import Kind
from examples.partner_system.lanes import Step
from examples.partner_system.referral_file import ReferralFile
from examples.partner_system.store import Outgoing, Referral, Store
from shared.contracts.codes import RecipientKind, ReferralKind
from shared.contracts.exchange import decode
from shared.contracts.ids import MessageId, OrganisationId
from shared.sealing.agreement import FORM, Agreement, Party
from shared.sealing.directory import Directory
from shared.sealing.documents import note_signer, sign_document
from shared.sealing.enrol import (
    Choices,
    Identity,
    introduce,
    make_organisation,
    published_document,
)
from shared.sealing.envelope import Dispatch, open_body, parse, seal
from shared.sealing.header import ce_headers, check_ce_headers
from shared.sealing.keyring import Cost, Holder, Keyring, read_keyring
from shared.sealing.keys import KeyPurpose, SigningKey
from shared.sealing.receipts import Receipt, make_receipt
from shared.sealing.suites import KeyKind
from tests.support.partners import verifier

CENTRE, HOUSE = OrganisationId("accueil-fr"), OrganisationId("ccem-fr")
PASSPHRASE = "a passphrase for tests"
PASSPHRASES = dict.fromkeys(Holder, PASSPHRASE)
COST = Cost(memory_kib=64, iterations=1, lanes=1)
DAY = timedelta(days=1)
EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "referrals").glob("*.json"))
ACCEPTED: dict[str, object] = {"meeting": {"withheld": ["when", "where", "who"]}}
CANARIES = ("Canary Name", "ليلى", "She told this in confidence.")
"""Personal words of `prepared`, which no line of output and no file of the centre may hold."""


@dataclass(frozen=True)
class Parcel:
    """An envelope, and the headers beside it."""

    raw: bytes
    labels: dict[str, str]


@dataclass
class House:
    """An organisation with a node, seen from outside."""

    folder: Path
    identity: Identity
    partner: OrganisationId = CENTRE
    numbers: dict[KeyPurpose, int] = field(default_factory=dict)

    @classmethod
    def build(cls, folder: Path, inbox_kind: KeyKind, organisation: OrganisationId = HOUSE) -> "House":
        """Make an organisation with fresh keys."""
        choices = Choices(inbox_kind=inbox_kind, cost=COST)
        return cls(folder, make_organisation(folder, organisation, PASSPHRASES, datetime.now(UTC), choices))

    def keyring(self, holder: Holder) -> Keyring:
        """Return the keys of one of its services."""
        return read_keyring(self.folder, holder, PASSPHRASE)

    def signed_agreement(self, centre_vkey: str) -> str:
        """Return an agreement with the centre that the house alone has signed."""
        return agreement_signed_by(self.identity, self.partner, centre_vkey)

    def open(self, made: Outgoing) -> Any:  # noqa: ANN401 - one of many events
        """Read what the centre sends, as intake and referral would."""
        envelope = parse(made.envelope)
        now = datetime.now(UTC)
        check_ce_headers(envelope.header, ce_headers(envelope.header))
        envelope.header.check_recipient(self.identity.organisation)
        book, key = Directory(self.folder).book, envelope.header.key_id
        envelope.verify(verifier(book, self.partner, key, KeyPurpose.SIGNING, KeyPurpose.RECEIPT))
        assert now < envelope.header.expires
        keyring = self.keyring(Holder.REFERRAL)
        return decode(open_body(envelope, keyring.inbox_key(envelope.header.inbox_keys, envelope.suite)))

    def note_for(self, made: Outgoing, **changes: Any) -> str:  # noqa: ANN401 - what a test gets wrong on purpose
        """Return the receipt for an envelope of the centre."""
        receipt = Receipt(
            sender=self.partner,
            recipient=self.identity.organisation,
            message=MessageId(UUID(made.id)),
            sealed=sha256(made.envelope).digest(),
            at=datetime.now(UTC).replace(microsecond=0),
            leaf=sha256(b"a leaf").digest(),
        )
        return make_receipt(replace(receipt, **changes), self.key(KeyPurpose.RECEIPT))

    def receipt(self, made: Outgoing, note: str | None = None, purpose: KeyPurpose = KeyPurpose.RECEIPT) -> Parcel:
        """Send the receipt for an envelope of the centre."""
        data = {"message": made.id, "note": note or self.note_for(made)}
        return self.seal({"type": "receipt.given.v1", **_mark(), "data": data}, purpose)

    def key(self, purpose: KeyPurpose) -> SigningKey:
        """Return a signing key."""
        holder = Holder.INTAKE if purpose is KeyPurpose.RECEIPT else Holder.REFERRAL
        return self.keyring(holder).signing_key(purpose, datetime.now(UTC))

    def seal(
        self,
        event: Mapping[str, object] | bytes,
        purpose: KeyPurpose = KeyPurpose.SIGNING,
        *,
        id_: UUID | None = None,
        to: OrganisationId | None = None,
        skip: int = 0,
        signer: SigningKey | None = None,
    ) -> Parcel:
        """Seal an event for the centre, honest but for what is said otherwise."""
        now = datetime.now(UTC)
        self.numbers[purpose] = number = self.numbers.get(purpose, 0) + 1 + skip
        dispatch = Dispatch(
            MessageId(id_ or uuid4()), self.identity.organisation, to or self.partner, number, now, now + DAY
        )
        body = event if isinstance(event, bytes) else json.dumps(event, ensure_ascii=False).encode()
        inbox = Directory(self.folder).book.inbox_key(self.partner, now)
        raw = seal(body, dispatch, signer or self.key(purpose), [inbox])
        return Parcel(raw, ce_headers(parse(raw).header))


@dataclass
class Centre:
    """The day centre: its folder, and its desk, which can be closed and opened again."""

    folder: Folder
    store: Store
    desk: Desk

    @classmethod
    def open(cls, folder: Folder, partner_keys: Path) -> "Centre":
        """Start the software."""
        keychain, store = folder.keychain(), folder.store()
        return cls(folder, store, Desk(keychain, folder.partners(keychain, [partner_keys], store), store))

    def killed(self, partner_keys: Path) -> "Centre":
        """Stop at once, and start again from what is written."""
        self.store.close()
        return Centre.open(self.folder, partner_keys)

    def take(self, *parcels: Parcel) -> list[Happened]:
        """Take in envelopes."""
        return [happened for parcel in parcels for happened in self.desk.take(parcel.raw, parcel.labels)]

    def outgoing(self, step: str) -> Outgoing:
        """Return the envelope that is waiting to be sent with an event of this type, the newest."""
        return [made for made in self.desk.to_send() if made.step == step][-1]


@dataclass
class Acquainted:
    """The two, with their agreement signed and their documents exchanged."""

    centre: Centre
    house: House
    house_keys: Path

    def restart(self) -> None:
        """Kill the centre's software, and start it again."""
        self.centre = self.centre.killed(self.house_keys)


def acquaint(
    folder: Path,
    centre_kind: Kind = Kind.X_WING,
    house_kind: KeyKind = KeyKind.X_WING,
    centre: OrganisationId = CENTRE,
    house: OrganisationId = HOUSE,
) -> Acquainted:
    """Let the two become partners, each by its own code: keys.md, section 8."""
    built = replace(House.build(folder / "house", house_kind, house), partner=centre)
    own = Folder(folder / "centre")
    house_keys = become_partners(own, built.folder, built.identity, centre_kind, centre)
    return Acquainted(Centre.open(own, house_keys), built, house_keys)


def become_partners(
    own: Folder, house_folder: Path, house: Identity, kind: Kind = Kind.X_WING, centre: OrganisationId = CENTRE
) -> Path:
    """Make the centre's keys, and let it and a node with a folder have one another's documents; return the node's."""
    _, identity = own.make_keys(centre, kind, datetime.now(UTC))
    _, agreement = own.countersign(agreement_signed_by(house, centre, identity.vkey))
    introduce(house_folder, agreement.read_text(), (own.path / f"{centre}.keys").read_text())
    house_keys = own.path / f"{house.organisation}.keys"
    house_keys.write_text(published_document(house_folder, house.organisation))
    return house_keys


def agreement_signed_by(
    house: Identity,
    centre: OrganisationId,
    centre_vkey: str,
    *,
    begins: timedelta = -DAY,
    ends: timedelta = 30 * DAY,
    may_send: tuple[ReferralKind, ...] = tuple(sorted(ReferralKind)),
) -> str:
    """Return an agreement with the centre that the other side alone has signed; its times count from now."""
    now = datetime.now(UTC).replace(microsecond=0)
    parties = (
        Party(
            organisation=centre,
            kind=RecipientKind.SUPPORT,
            identity=centre_vkey,
            may_send=may_send,
        ),
        Party(organisation=house.organisation, kind=RecipientKind.SUPPORT, identity=house.vkey, may_send=()),
    )
    first, second = sorted(parties, key=lambda party: party.organisation)
    agreement = Agreement(parties=(first, second), valid_from=now + begins, valid_until=now + ends, transfer_basis=None)
    return sign_document(FORM, agreement, [note_signer(house.organisation, KeyPurpose.IDENTITY, house.key)])


def prepared(reference: str = "a-test") -> ReferralFile:
    """Return a file with words in it that must not get out."""
    summary = {
        "needs": ["safe_shelter"],
        "age_band": "25_34",
        "sex": "female",
        "languages": ["ara"],
        "country": "FR",
        "avoid": CANARIES[0],
    }
    terms: dict[str, object] = {"purposes": ["support"]}
    return ReferralFile.stated(
        {
            "reference": reference,
            "consent_days": 30,
            "offer": {"kind": "transfer", "urgency": "urgent", "packet": {"summary": summary}, "terms": terms},
            "answers": [{"answer": CANARIES[2]}],
            "disclosure": {"packet": {"identity": {"given_names": CANARIES[1]}}, "terms": terms},
            "reschedules": [{"meeting": {"where": CANARIES[0], "withheld": ["when", "who"]}}],
        }
    )


def offered(two: Acquainted, file: ReferralFile | None = None) -> Referral:
    """Offer, and let the house give its receipt."""
    number, _ = two.centre.desk.offer(file or prepared(), HOUSE)
    referral = two.centre.store.referral(number)
    assert referral
    two.centre.take(two.house.receipt(two.centre.outgoing(Step.OFFERED)))
    return referral


def said(
    referral: Referral, step: str, n: int, seen: int, data: Mapping[str, object] | None = None, **changes: object
) -> dict[str, object]:
    """Return an event of the receiver about a referral of the centre."""
    about = {"conversation": referral.conversation, "referral": referral.id}
    return {"type": f"referral.{step}.v1", **_mark(), **about, "n": n, "seen": seen, "data": data or {}, **changes}


def _mark() -> dict[str, str]:
    return {"id": str(uuid4()), "at": datetime.now(UTC).isoformat()}
