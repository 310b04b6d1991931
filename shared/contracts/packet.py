"""What may be disclosed about a person, cut into the categories that a person can grant or keep back one by one.

Only the referral service may import this module. A part is sent whole or not at all: the gate decides by category, so
a field stands in the category whose grant should cover it, and no category repeats a field of another. Nothing here is
ever shown by ``repr``, logged, or put into a message that is not sealed.
"""

from datetime import date, time
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator

from shared.contracts.codes import (
    AgeBand,
    Category,
    Exploitation,
    Finding,
    MeansOfControl,
    Need,
    Sector,
    Sex,
)
from shared.contracts.ids import Organisation
from shared.contracts.packet_codes import (
    Accessibility,
    Channel,
    DocumentKind,
    ExploiterKind,
    PaperKind,
    Precision,
    ProceedingKind,
    Relation,
    Residence,
    RiskLevel,
)
from shared.contracts.personal import (
    Country,
    Email,
    Language,
    LongText,
    Personal,
    Telephone,
    Text,
    Word,
    ended_after_it_began,
    refuse_together,
)
from shared.contracts.report import Criteria, Indicators

DOCUMENT_BYTES = 20 * 1024 * 1024
"""The largest document, in bytes."""

IDENTIFYING = frozenset(Category) - {Category.SUMMARY, Category.HEALTH, Category.EXPLOITATION, Category.RISK}
"""The categories with a field for a name, a number, an address or the person's own story: they wait for acceptance."""

Few = Annotated[tuple[Word, ...], Field(max_length=20)]
Languages = Annotated[tuple[Language, ...], Field(min_length=1, max_length=10)]
Countries = Annotated[tuple[Country, ...], Field(max_length=10)]


class Summary(Personal):
    """What an organisation needs in order to say whether it can help, without knowing who the person is."""

    needs: Annotated[frozenset[Need], Field(min_length=1)]
    age_band: AgeBand
    sex: Sex
    languages: Languages
    country: Country
    """Where the person is now."""
    interpreter: bool = False
    children: Annotated[int, Field(ge=0, le=20)] = 0
    """How many children come along."""
    accessibility: frozenset[Accessibility] = frozenset()
    avoid_areas: Few = ()
    avoid_organisations: Annotated[tuple[Organisation, ...], Field(max_length=20)] = ()
    avoid: Text | None = None
    """Who and what else to keep away from, in words that identify nobody."""


class IdentityPaper(Personal):
    """A paper that says who the person is, whoever has it now."""

    kind: PaperKind
    number: Word | None = None
    country: Country | None = None
    held_by_person: Finding = Finding.UNKNOWN
    expires: date | None = None


class Identity(Personal):
    """Who the person is."""

    given_names: Word
    family_name: Word | None = None
    called: Word | None = None
    """What the person wishes to be called."""
    other_names: Few = ()
    born: date | None = None
    born_precision: Precision | None = None
    birthplace: Word | None = None
    nationalities: Countries = ()
    papers: Annotated[tuple[IdentityPaper, ...], Field(max_length=10)] = ()

    @model_validator(mode="after")
    def _says_how_sure_the_date_is(self) -> Self:
        if (self.born is None) != (self.born_precision is None):
            refuse_together("birth-date-precision", "born", "born_precision")
        return self


class SafeChannel(Personal):
    """One way to reach the person, and what makes it safe."""

    channel: Channel
    telephone: Telephone | None = None
    email: Email | None = None
    through: Word | None = None
    """The person or place to go through."""
    language: Language | None = None
    not_before: time | None = None
    not_after: time | None = None
    days: Word | None = None
    may_leave_message: bool = False
    code_word: Word | None = None
    """What to say first, so that the person knows who calls."""
    caution: Text | None = None

    @model_validator(mode="after")
    def _has_what_the_channel_needs(self) -> Self:
        if self.channel in (Channel.CALL, Channel.TEXT_MESSAGE, Channel.MESSENGER) and self.telephone is None:
            refuse_together("channel-without-number", "channel", "telephone")
        if self.channel is Channel.EMAIL and self.email is None:
            refuse_together("channel-without-mailbox", "channel", "email")
        if self.channel in (Channel.SOMEBODY, Channel.IN_PERSON) and self.through is None:
            refuse_together("channel-without-whom", "channel", "through")
        return self


class SafeContact(Personal):
    """How to reach the person without putting them in danger."""

    do_not_contact: bool = False
    """Nothing at all is sent to the person."""
    channels: Annotated[tuple[SafeChannel, ...], Field(max_length=10)] = ()
    never: Text | None = None
    """Numbers, places and people that must never be used."""

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if self.do_not_contact == bool(self.channels):
            refuse_together("contact-or-none", "do_not_contact", "channels")
        return self


class Narrative(Personal):
    """What the person told, so that it need not be told again."""

    account: LongText
    told_on: date | None = None
    language: Language | None = None
    with_interpreter: bool = False
    read_back: bool = False
    """Whether it was read back to the person and agreed."""
    wishes: Text | None = None
    do_not_ask_again: Text | None = None
    """What should not be brought up with the person."""


class Relative(Personal):
    """Somebody who matters for the person's safety or whom the person cares for."""

    relation: Relation
    name: Word | None = None
    age_band: AgeBand | None = None
    country: Country | None = None
    with_person: bool = False
    at_risk: Finding = Finding.UNKNOWN
    involved: Finding = Finding.UNKNOWN
    """Whether they had a part in the exploitation."""


class Family(Personal):
    """The people around the person."""

    relatives: Annotated[tuple[Relative, ...], Field(max_length=30)] = ()
    custody: Text | None = None
    guardian: Word | None = None
    ad_hoc_administrator: Word | None = None
    notes: Text | None = None


class Health(Personal):
    """What those who care for the person must know."""

    urgent: bool = False
    pregnant: Finding = Finding.UNKNOWN
    weeks: Annotated[int, Field(ge=1, le=45)] | None = None
    conditions: Text | None = None
    treatments: Text | None = None
    allergies: Text | None = None
    disabilities: Text | None = None
    psychological: Text | None = None
    injuries: Text | None = None
    followed_by: Text | None = None
    cover: Word | None = None
    """Which health cover the person has."""

    @model_validator(mode="after")
    def _weeks_of_a_pregnancy(self) -> Self:
        if self.weeks is not None and self.pregnant is not Finding.YES:
            refuse_together("weeks-without-pregnancy", "weeks", "pregnant")
        return self


class Proceeding(Personal):
    """One procedure, and where it stands."""

    kind: ProceedingKind
    before: Word | None = None
    reference: Word | None = None
    lawyer: Word | None = None
    stage: Word | None = None
    next_date: date | None = None


class Legal(Personal):
    """Complaints, procedures and the time limits in them."""

    complaint: Finding = Finding.UNKNOWN
    identified_formally: Finding = Finding.UNKNOWN
    """Whether the competent authority has recognised the person as a victim of trafficking."""
    immunity_of_exploiter: Finding = Finding.UNKNOWN
    """Diplomatic or consular immunity, which decides what a complaint can reach."""
    proceedings: Annotated[tuple[Proceeding, ...], Field(max_length=20)] = ()
    accused_of: Text | None = None
    """What the person was forced to do and may be prosecuted for."""
    notes: Text | None = None


class Administrative(Personal):
    """Papers, rights and addresses as offices know them."""

    residence: Residence = Residence.UNKNOWN
    residence_until: date | None = None
    reflection_since: date | None = None
    """The day of the receipt that opens the period of reflection."""
    file_number: Word | None = None
    social_security: Word | None = None
    postal_address: Text | None = None
    benefits: Text | None = None
    expulsion_order: Finding = Finding.UNKNOWN
    notes: Text | None = None


class ExploitationRecord(Personal):
    """What was done to the person, in codes that can be counted and in the words that codes lack."""

    forms: Annotated[frozenset[Exploitation], Field(min_length=1)]
    sectors: frozenset[Sector] = frozenset()
    control: frozenset[MeansOfControl] = frozenset()
    criteria: Criteria | None = None
    indicators: Indicators | None = None
    began: date | None = None
    ended: date | None = None
    ongoing: Finding = Finding.UNKNOWN
    countries: Countries = ()
    recruited_in: Country | None = None
    exploiter: ExploiterKind = ExploiterKind.UNKNOWN
    notes: Text | None = None

    _ends_after_it_began = model_validator(mode="after")(ended_after_it_began)


class Risk(Personal):
    """What could harm the person, and what keeps them safe."""

    level: RiskLevel
    searched_for: Finding = Finding.UNKNOWN
    """Whether those who exploited the person look for them."""
    knows_places: Text | None = None
    """Which places and people the exploiters know."""
    threats: Text | None = None
    family_threatened: Finding = Finding.UNKNOWN
    self_harm: Finding = Finding.UNKNOWN
    traceable_telephone: Finding = Finding.UNKNOWN
    measures: Text | None = None
    """What protects the person now."""
    notes: Text | None = None


class Document(Personal):
    """One document of the manifest: the sealed parts that follow are checked against it."""

    id: UUID
    kind: DocumentKind
    title: Word
    media_type: Annotated[str, StringConstraints(pattern=r"^[a-z]+/[a-z0-9.+-]+$", max_length=100)]
    size: Annotated[int, Field(ge=1, le=DOCUMENT_BYTES)]
    """Bytes."""
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Documents(Personal):
    """The manifest of the documents."""

    documents: Annotated[tuple[Document, ...], Field(min_length=1, max_length=50)]


class Packet(Personal):
    """What one event discloses: the parts that are there, each under its category's name."""

    summary: Summary | None = None
    identity: Identity | None = None
    safe_contact: SafeContact | None = None
    narrative: Narrative | None = None
    family: Family | None = None
    health: Health | None = None
    legal: Legal | None = None
    administrative: Administrative | None = None
    exploitation: ExploitationRecord | None = None
    risk: Risk | None = None
    documents: Documents | None = None

    def parts(self) -> dict[Category, Personal]:
        """Return the parts that are there, by category."""
        return {_CATEGORY[name]: part for name, part in vars(self).items() if part is not None}

    def categories(self) -> frozenset[Category]:
        """Return which categories are there."""
        return frozenset(_CATEGORY[name] for name, part in vars(self).items() if part is not None)


_CATEGORY = {category.value: category for category in Category}

NOTHING_DISCLOSED = Packet(health=Health())
"""A packet must have a category; this one says nothing of anybody. It stands in an event whose words may not leave."""
