"""The closed lists that only a packet uses: what a place must allow for, how a person is reached, what a paper is."""

from enum import StrEnum


class Accessibility(StrEnum):
    """What a place or an appointment must allow for."""

    WHEELCHAIR = "wheelchair"
    HEARING = "hearing"
    SIGHT = "sight"
    READING = "reading"
    LATE_PREGNANCY = "late_pregnancy"
    ANIMAL = "animal"


class Precision(StrEnum):
    """How far a date of birth can be relied on."""

    DOCUMENTED = "documented"
    SAID = "said"
    ESTIMATED = "estimated"


class PaperKind(StrEnum):
    """Identity papers."""

    PASSPORT = "passport"
    IDENTITY_CARD = "identity_card"
    BIRTH_CERTIFICATE = "birth_certificate"
    CONSULAR_CARD = "consular_card"
    OTHER = "other"


class Channel(StrEnum):
    """A way to reach a person."""

    CALL = "call"
    TEXT_MESSAGE = "text_message"
    MESSENGER = "messenger"
    EMAIL = "email"
    SOMEBODY = "somebody"
    IN_PERSON = "in_person"


class Relation(StrEnum):
    """What somebody is to the person."""

    CHILD = "child"
    PARTNER = "partner"
    PARENT = "parent"
    SIBLING = "sibling"
    OTHER_FAMILY = "other_family"
    GUARDIAN = "guardian"
    OTHER = "other"


class ProceedingKind(StrEnum):
    """What is before which court or office."""

    CRIMINAL = "criminal"
    LABOUR_COURT = "labour_court"
    COMPENSATION = "compensation"
    FAMILY_COURT = "family_court"
    CHILDRENS_COURT = "childrens_court"
    ADMINISTRATIVE_COURT = "administrative_court"
    OTHER = "other"


class Residence(StrEnum):
    """By what right the person is in the country."""

    NATIONAL = "national"
    EU_CITIZEN = "eu_citizen"
    PERMIT = "permit"
    RECEIPT = "receipt"
    REFLECTION_PERIOD = "reflection_period"
    ASYLUM_SEEKER = "asylum_seeker"
    REFUGEE = "refugee"
    DIPLOMATIC_CARD = "diplomatic_card"
    VISA = "visa"
    NONE = "none"
    UNKNOWN = "unknown"


class ExploiterKind(StrEnum):
    """What the one who exploits is."""

    HOUSEHOLD = "household"
    DIPLOMATIC_HOUSEHOLD = "diplomatic_household"
    RELATIVE = "relative"
    COMPANY = "company"
    FARM = "farm"
    NETWORK = "network"
    OTHER = "other"
    UNKNOWN = "unknown"


class RiskLevel(StrEnum):
    """How great the danger is thought to be by those who know the person."""

    LIFE = "life"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    UNKNOWN = "unknown"


class DocumentKind(StrEnum):
    """What a document is."""

    IDENTITY = "identity"
    RESIDENCE = "residence"
    COMPLAINT = "complaint"
    JUDGMENT = "judgment"
    MEDICAL = "medical"
    CONTRACT = "contract"
    PROOF_OF_WORK = "proof_of_work"
    PHOTOGRAPH = "photograph"
    REPORT = "report"
    OTHER = "other"
