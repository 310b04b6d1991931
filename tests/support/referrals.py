"""Fictional people and referrals for tests. Every text in them is a canary that must not sing where it can be heard."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

from services.referral.domain.casefile import CaseFile
from services.referral.domain.cases import Actor
from services.referral.domain.clocks import Hours
from services.referral.domain.grants import Grant
from services.referral.domain.leaving import Today
from services.referral.domain.policy import Grounds, Recipient, Release, Stage, release
from services.referral.domain.referral import Referral
from services.referral.domain.ruling import Act, Ruling, Tell
from services.referral.domain.sending import Leg, OfferAsked, offer
from shared.contracts.codes import (
    EVERY_KIND,
    AgeBand,
    Category,
    DeclinedBy,
    DeclineReason,
    Exploitation,
    Finding,
    GrantedBy,
    GrantForm,
    MissReason,
    Need,
    Outcome,
    ProgressCode,
    Purpose,
    RecipientKind,
    ReferralKind,
    Sex,
    Urgency,
    WithdrawReason,
)
from shared.contracts.event import EventId
from shared.contracts.event_data import (
    AcceptedData,
    AnsweredData,
    ArrivedData,
    AskedData,
    ClosedData,
    ConsentWithdrawnData,
    DeclinedData,
    DisclosedData,
    EventData,
    Meeting,
    MissedData,
    OfferedData,
    OpenedData,
    ProgressedData,
    RedirectedData,
    RescheduledData,
    Terms,
    WithdrawnData,
)
from shared.contracts.exchange import EVENTS, ReferralEvent
from shared.contracts.ids import CaseId, GrantId, OrganisationId, ReferralId, StaffId
from shared.contracts.packet import (
    Administrative,
    Document,
    Documents,
    ExploitationRecord,
    Family,
    Health,
    Identity,
    Legal,
    Narrative,
    Packet,
    Relative,
    Risk,
    SafeChannel,
    SafeContact,
    Summary,
)
from shared.contracts.packet_codes import Channel, DocumentKind, Relation, RiskLevel

CANARY = "kanarienvogel"
SENDER = OrganisationId("ccem-fr")
RECEIVER = OrganisationId("abri-be")
NOOR = StaffId("noor")
"""Staff of the sender."""
ZOE = StaffId("zoe")
"""Staff of the receiver."""
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
"""A Tuesday."""
BRUSSELS = Hours(UTC)
"""Working hours without daylight saving, so that a test can count on its fingers."""


def ids(seed: int = 0) -> Iterator[UUID]:
    """Yield random ids that are the same in every run."""
    random = Random(seed)  # noqa: S311 - repeatable on purpose
    while True:
        yield UUID(bytes=random.randbytes(16), version=4)


FRESH = ids(7)


def act(by: Actor = NOOR, at: datetime = NOON) -> Act:
    """Return an act of ``by``, with fresh ids."""
    return Act(by, at, FRESH)


def packet() -> Packet:
    """Return a packet with every category, full of canaries."""
    return Packet(
        summary=summary(),
        identity=Identity(given_names=CANARY, family_name=CANARY),
        safe_contact=SafeContact(
            channels=(SafeChannel(channel=Channel.CALL, telephone="+33100000000", code_word=CANARY),)
        ),
        narrative=Narrative(account=CANARY),
        family=Family(relatives=(Relative(relation=Relation.CHILD, name=CANARY),)),
        health=Health(conditions=CANARY),
        legal=Legal(notes=CANARY),
        administrative=Administrative(file_number=CANARY),
        exploitation=ExploitationRecord(forms=frozenset({Exploitation.DOMESTIC_SERVITUDE}), notes=CANARY),
        risk=Risk(level=RiskLevel.HIGH, searched_for=Finding.YES, knows_places=CANARY),
        documents=Documents(
            documents=(
                Document(
                    id=next(FRESH),
                    kind=DocumentKind.IDENTITY,
                    title=CANARY,
                    media_type="application/pdf",
                    size=1,
                    sha256="0" * 64,
                ),
            ),
        ),
    )


def summary() -> Summary:
    """Return what an offer must have."""
    return Summary(
        needs=frozenset({Need.SAFE_SHELTER, Need.MEDICAL}),
        age_band=AgeBand.FROM_25_TO_34,
        sex=Sex.FEMALE,
        languages=("tgl", "fra"),
        country="FR",
        avoid=CANARY,
    )


def only(*categories: Category) -> Packet:
    """Return the packet with these categories alone."""
    parts = packet().parts()
    return Packet.model_validate({category.value: parts[category] for category in categories})


def grant(*categories: Category, recipient: OrganisationId = RECEIVER, **changes: object) -> Grant:
    """Return a grant in force, for support, by the person herself."""
    fields: dict[str, object] = {
        "id": GrantId(next(FRESH)),
        "case": CaseId(next(FRESH)),
        "recipient": recipient,
        "categories": frozenset(categories or Category),
        "purposes": frozenset({Purpose.SUPPORT}),
        "begins": NOON - timedelta(days=1),
        "until": None,
        "form": GrantForm.INTERPRETER,
        "language": "tgl",
        "given_by": GrantedBy.PERSON,
        "explained": True,
        "feedback": True,
        "told_of_transfer": False,
        "recorded_by": NOOR,
        "recorded_at": NOON - timedelta(days=1),
    }
    return Grant(**{**fields, **changes})  # type: ignore[arg-type]


def grounds(*grants: Grant, organisation: OrganisationId = RECEIVER) -> Grounds:
    """Return the grounds for telling an organisation with an agreement in force, for an adult."""
    return Grounds(recipient(organisation), AgeBand.FROM_25_TO_34, grants=grants)


def released(*categories: Category) -> Release:
    """Return the answer of a gate that lets these categories go to the receiver."""
    return release(categories, grounds(grant()), stage=Stage.ACCEPTED, identity_reason=False, at=NOON)


def recipient(organisation: OrganisationId = RECEIVER) -> Recipient:
    """Return an organisation with an agreement in force."""
    return Recipient(organisation, RecipientKind.SUPPORT, agreed=True, kinds=EVERY_KIND, hours=BRUSSELS)


def casefile(*grants: Grant, legs: tuple[Referral, ...] = ()) -> CaseFile:
    """Return what a case holds in which every category is written: full of canaries."""
    return CaseFile(grants, packet().parts(), legs)


def today(*grants: Grant, agreed: bool = True, kind: RecipientKind = RecipientKind.SUPPORT) -> Today:
    """Return what the gate looks at: a case, with a grant for everything unless others are named, and a partner."""
    return Today(casefile(*(grants or (grant(),))), replace(recipient(), agreed=agreed, kind=kind))


def leg() -> Leg:
    """Return a new referral of a new case of the sender."""
    return Leg(ReferralId(next(FRESH)), CaseId(next(FRESH)), SENDER, NOOR)


def offered(
    kind: ReferralKind = ReferralKind.TRANSFER, urgency: Urgency = Urgency.URGENT, at: datetime = NOON
) -> Ruling[Referral]:
    """Return what the sender decides when it offers a person to the receiver."""
    categories = frozenset({Category.SUMMARY, Category.RISK})
    asked = OfferAsked(to=RECEIVER, kind=kind, urgency=urgency, categories=categories)
    return offer(leg(), act(NOOR, at), asked, casefile(grant()), recipient())


def state(ruling: Ruling[Referral]) -> Referral:
    """Return the next state of a ruling that was not refused."""
    assert ruling.refusal is None, ruling.refusal
    assert ruling.state is not None
    return ruling.state


def told(ruling: Ruling[Referral]) -> ReferralEvent:
    """Return the one event that a ruling tells the partner."""
    (event,) = [said.event for said in ruling.says if isinstance(said, Tell)]
    return event


def data_of(model: type[ReferralEvent]) -> object:
    """Return the model of what such an event says."""
    return model.model_fields["data"].annotation


MEETING = Meeting(when=NOON + timedelta(days=1), where=CANARY, who=CANARY)

DATA: tuple[EventData, ...] = (
    OfferedData(
        kind=ReferralKind.TRANSFER,
        urgency=Urgency.URGENT,
        packet=Packet(summary=summary()),
        terms=Terms(purposes=frozenset({Purpose.SUPPORT}), feedback=True),
    ),
    OpenedData(),
    AskedData(question=CANARY),
    AnsweredData(answer=CANARY, packet=Packet(health=Health(allergies=CANARY))),
    AcceptedData(meeting=MEETING, expected=MEETING.when),
    DisclosedData(packet=packet(), terms=Terms(purposes=frozenset({Purpose.SUPPORT}), feedback=True)),
    DeclinedData(reason=DeclineReason.OTHER, by=DeclinedBy.PROVIDER, note=CANARY),
    RedirectedData(name=CANARY, reason=DeclineReason.OUT_OF_AREA, note=CANARY),
    ArrivedData(),
    MissedData(reason=MissReason.DID_NOT_COME, note=CANARY),
    RescheduledData(meeting=MEETING, expected=MEETING.when),
    ProgressedData(code=ProgressCode.SETTLED, note=CANARY),
    ClosedData(outcome=Outcome.GOT_HELP, note=CANARY),
    WithdrawnData(reason=WithdrawReason.NO_LONGER_NEEDED),
    ConsentWithdrawnData(),
)
"""One of each, in the order of :data:`shared.contracts.exchange.EVENTS`; test_referral_steps says which one lacks."""

BY_STEP = {model.step: data for model in EVENTS.values() for data in DATA if type(data) is data_of(model)}


def event(referral: Referral, data: EventData, n: int, seen: int, at: datetime = NOON) -> ReferralEvent:
    """Return an event as a partner could send it, whatever the rules say of it."""
    model = next(model for model in EVENTS.values() if data_of(model) is type(data))
    return model(
        id=EventId(next(FRESH)),
        at=at,
        conversation=referral.conversation,
        referral=referral.id,
        n=n,
        seen=seen,
        data=data,
    )
