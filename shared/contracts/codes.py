"""The closed lists: every word that may be said about a person or a referral without writing a sentence.

A code travels; the words for it are found where somebody reads it, in the reader's language. Code values are
``snake_case`` and never change their meaning: a code that turns out wrong is left as it is, and a better one is added
beside it. A list that may lack a word has ``other``; one whose answer may not be known has ``unknown``, so that nobody
ever has to guess in order to go on.

Sources are named at each list: ISIC rev. 4 (United Nations), HTCDS 2.0 (IOM), the ILO's indicators, CCEM's criteria.
"""

from enum import StrEnum


class Urgency(StrEnum):
    """How long a person can wait; it sets the clocks and whether a night's rest is broken."""

    IMMEDIATE = "immediate"
    URGENT = "urgent"
    STANDARD = "standard"


class ReferralKind(StrEnum):
    """Who stays responsible for the person: see the responsibility rules of the referral's life."""

    SERVICE = "service"
    SHARED = "shared"
    TRANSFER = "transfer"
    BROKERED = "brokered"


EVERY_KIND = frozenset(ReferralKind)


class Status(StrEnum):
    """Where a referral stands. *Overdue* is a flag beside it, never a status."""

    OFFERED = "offered"
    RECEIVED = "received"
    OPENED = "opened"
    ASKED = "asked"
    ACCEPTED = "accepted"
    DISCLOSED = "disclosed"
    DECLINED = "declined"
    REDIRECTED = "redirected"
    ARRIVED = "arrived"
    MISSED = "missed"
    CLOSING = "closing"
    """The person is there and has taken consent back: the receiver has yet to say how it ended."""
    CLOSED = "closed"
    WITHDRAWN = "withdrawn"


class Category(StrEnum):
    """The parts that a packet is cut into; each one leaves only where a grant or a lawful basis covers it."""

    SUMMARY = "summary"
    IDENTITY = "identity"
    SAFE_CONTACT = "safe_contact"
    NARRATIVE = "narrative"
    FAMILY = "family"
    HEALTH = "health"
    LEGAL = "legal"
    ADMINISTRATIVE = "administrative"
    EXPLOITATION = "exploitation"
    RISK = "risk"
    DOCUMENTS = "documents"


class Purpose(StrEnum):
    """What a person allows her data to be used for."""

    SUPPORT = "support"
    POLICE = "police"
    STATISTICS = "statistics"
    RESEARCH = "research"
    AUTHORITIES = "authorities"


class GrantForm(StrEnum):
    """How consent was given."""

    WRITTEN = "written"
    ORAL = "oral"
    INTERPRETER = "interpreter"


class GrantedBy(StrEnum):
    """Who gave consent: for a child, never the child alone."""

    PERSON = "person"
    GUARDIAN = "guardian"
    AD_HOC_ADMINISTRATOR = "ad_hoc_administrator"


class LawfulBasis(StrEnum):
    """Why a category may leave."""

    GRANT = "grant"
    CHILD_PROTECTION = "child_protection"
    RISK_TO_LIFE = "risk_to_life"


class TransferBasis(StrEnum):
    """Why data may leave the EU/EEA (GDPR, chapter V)."""

    ADEQUACY = "adequacy"
    STANDARD_CLAUSES = "standard_clauses"
    BINDING_RULES = "binding_rules"
    PUBLIC_INTEREST = "public_interest"


class RecipientKind(StrEnum):
    """What an organisation is to the person. Police and immigration are not neutral recipients."""

    SUPPORT = "support"
    HEALTH = "health"
    POLICE = "police"
    IMMIGRATION = "immigration"


class DeclineReason(StrEnum):
    """Why an organisation does not take a person in."""

    NO_CAPACITY = "no_capacity"
    WAITING_LIST = "waiting_list"
    NOT_ELIGIBLE_AGE = "not_eligible_age"
    NOT_ELIGIBLE_SEX = "not_eligible_sex"
    NOT_ELIGIBLE_TERRITORY = "not_eligible_territory"
    NOT_ELIGIBLE_EXPLOITATION = "not_eligible_exploitation"
    NOT_ELIGIBLE_STATUS = "not_eligible_status"
    OUT_OF_AREA = "out_of_area"
    UNSAFE_HERE = "unsafe_here"
    LANGUAGE_NOT_AVAILABLE = "language_not_available"
    HIGHER_LEVEL_OF_CARE = "higher_level_of_care"
    ALREADY_FOLLOWED_HERE = "already_followed_here"
    COULD_NOT_CONTACT = "could_not_contact"
    PERSON_DECLINED = "person_declined"
    PERSON_DISAPPEARED = "person_disappeared"
    MISSING_INFORMATION = "missing_information"
    SERVICE_SUSPENDED = "service_suspended"
    SENT_IN_ERROR = "sent_in_error"
    OTHER = "other"


class DeclinedBy(StrEnum):
    """Whose decision a decline was."""

    PROVIDER = "provider"
    PERSON = "person"


class WithdrawReason(StrEnum):
    """Why the sender takes a referral back. That another organisation took the person in is not said to the others."""

    NO_LONGER_NEEDED = "no_longer_needed"
    PERSON_DECLINED = "person_declined"
    PERSON_DISAPPEARED = "person_disappeared"
    NO_ANSWER = "no_answer"
    UNSAFE = "unsafe"
    SENT_IN_ERROR = "sent_in_error"
    OTHER = "other"


class MissReason(StrEnum):
    """What is known of a person who did not come. Each is a safety event, the last one most of all."""

    DID_NOT_COME = "did_not_come"
    LEFT_ON_THE_WAY = "left_on_the_way"
    COULD_NOT_BE_MET = "could_not_be_met"
    TIME_PASSED = "time_passed"
    FEARED_TAKEN_BACK = "feared_taken_back"


class ProgressCode(StrEnum):
    """What the receiver may tell the sender after arrival, where the grant lets it flow back."""

    SETTLED = "settled"
    SUPPORT_UNDER_WAY = "support_under_way"
    SUPPORT_COMPLETED = "support_completed"
    MOVED_WITHIN = "moved_within"
    OTHER = "other"


class Outcome(StrEnum):
    """How a referral ended for the person."""

    GOT_HELP = "got_help"
    GOT_PART = "got_part"
    COULD_NOT_BE_HELPED = "could_not_be_helped"
    PERSON_LEFT = "person_left"
    REFERRED_ON = "referred_on"
    OTHER = "other"


class Need(StrEnum):
    """What a person needs."""

    SAFE_SHELTER = "safe_shelter"
    EMERGENCY_ACCOMMODATION = "emergency_accommodation"
    FOOD_AND_CLOTHING = "food_and_clothing"
    MEDICAL = "medical"
    PSYCHOLOGICAL = "psychological"
    LEGAL_CRIMINAL = "legal_criminal"
    LEGAL_LABOUR_COURT = "legal_labour_court"
    LEGAL_COMPENSATION = "legal_compensation"
    RESIDENCE_PROCEDURE = "residence_procedure"
    ADMINISTRATIVE = "administrative"
    INTERPRETING = "interpreting"
    TRANSPORT = "transport"
    CHILDRENS_CARE = "childrens_care"
    EDUCATION = "education"
    FRENCH_CLASSES = "french_classes"
    WORK = "work"
    FAMILY_TRACING = "family_tracing"
    VOLUNTARY_RETURN = "voluntary_return"
    FOLLOW_UP = "follow_up"


class Exploitation(StrEnum):
    """Forms of exploitation. Forced criminality has no HTCDS code: an export says what it lost."""

    FORCED_LABOUR = "forced_labour"
    DOMESTIC_SERVITUDE = "domestic_servitude"
    SEXUAL_EXPLOITATION = "sexual_exploitation"
    CHILD_LABOUR = "child_labour"
    FORCED_MARRIAGE = "forced_marriage"
    FORCED_BEGGING = "forced_begging"
    FORCED_CRIMINALITY = "forced_criminality"
    FORCED_MILITARY_SERVICE = "forced_military_service"
    ORGAN_REMOVAL = "organ_removal"
    FORCED_ADOPTION = "forced_adoption"
    SURROGACY = "surrogacy"
    OTHER = "other"


class Sector(StrEnum):
    """Where the work was done: the sections of ISIC rev. 4, by their letters."""

    AGRICULTURE_FORESTRY_FISHING = "A"
    MINING = "B"
    MANUFACTURING = "C"
    ELECTRICITY_GAS = "D"
    WATER_WASTE = "E"
    CONSTRUCTION = "F"
    TRADE_VEHICLE_REPAIR = "G"
    TRANSPORT_STORAGE = "H"
    ACCOMMODATION_FOOD = "I"
    INFORMATION_COMMUNICATION = "J"
    FINANCE_INSURANCE = "K"
    REAL_ESTATE = "L"
    PROFESSIONAL_SCIENTIFIC_TECHNICAL = "M"
    ADMINISTRATIVE_SUPPORT = "N"
    PUBLIC_ADMINISTRATION = "O"
    EDUCATION = "P"
    HEALTH_SOCIAL_WORK = "Q"
    ARTS_RECREATION = "R"
    OTHER_SERVICES = "S"
    HOUSEHOLDS_AS_EMPLOYERS = "T"
    EXTRATERRITORIAL = "U"


class MeansOfControl(StrEnum):
    """How a person was held: the sixteen means of HTCDS 2.0, and the two codes for *other* and *not known*."""

    DEBT_BONDAGE = "debt_bondage"
    TAKES_EARNINGS = "takes_earnings"
    RESTRICTS_FINANCIAL_ACCESS = "restricts_financial_access"
    THREATS = "threats"
    PSYCHOLOGICAL_ABUSE = "psychological_abuse"
    PHYSICAL_ABUSE = "physical_abuse"
    SEXUAL_ABUSE = "sexual_abuse"
    FALSE_PROMISES = "false_promises"
    PSYCHOACTIVE_SUBSTANCES = "psychoactive_substances"
    RESTRICTS_MOVEMENT = "restricts_movement"
    RESTRICTS_MEDICAL_CARE = "restricts_medical_care"
    EXCESSIVE_WORKING_HOURS = "excessive_working_hours"
    USES_CHILDREN = "uses_children"
    THREAT_OF_LAW_ENFORCEMENT = "threat_of_law_enforcement"
    WITHHOLDS_NECESSITIES = "withholds_necessities"
    WITHHOLDS_DOCUMENTS = "withholds_documents"
    OTHER = "other"
    UNKNOWN = "unknown"


class IloIndicator(StrEnum):
    """The eleven indicators of forced labour of the International Labour Organization (2012)."""

    ABUSE_OF_VULNERABILITY = "abuse_of_vulnerability"
    DECEPTION = "deception"
    RESTRICTION_OF_MOVEMENT = "restriction_of_movement"
    ISOLATION = "isolation"
    PHYSICAL_AND_SEXUAL_VIOLENCE = "physical_and_sexual_violence"
    INTIMIDATION_AND_THREATS = "intimidation_and_threats"
    RETENTION_OF_IDENTITY_DOCUMENTS = "retention_of_identity_documents"
    WITHHOLDING_OF_WAGES = "withholding_of_wages"
    DEBT_BONDAGE = "debt_bondage"
    ABUSIVE_WORKING_AND_LIVING_CONDITIONS = "abusive_working_and_living_conditions"
    EXCESSIVE_OVERTIME = "excessive_overtime"


class CcemCriterion(StrEnum):
    """The seven criteria by which the Comité contre l'esclavage moderne judges a report."""

    EXORBITANT_WORKLOAD = "exorbitant_workload"
    NO_OR_INSUFFICIENT_PAY = "no_or_insufficient_pay"
    CONFISCATED_PAPERS = "confiscated_papers"
    THREATS_OR_VIOLENCE = "threats_or_violence"
    CONTROLLED_CONTACTS = "controlled_contacts"
    DISCRIMINATORY_LIVING_CONDITIONS = "discriminatory_living_conditions"
    CULTURAL_OR_SOCIAL_ISOLATION = "cultural_or_social_isolation"


class Finding(StrEnum):
    """What is known of one criterion or indicator: *no* was found out, *unknown* was not."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class ReporterKind(StrEnum):
    """Who tells intake of a person."""

    PERSON_CONCERNED = "person_concerned"
    RELATIVE = "relative"
    NEIGHBOUR = "neighbour"
    WITNESS = "witness"
    HEALTH_WORKER = "health_worker"
    SOCIAL_WORKER = "social_worker"
    SCHOOL = "school"
    LAWYER = "lawyer"
    ASSOCIATION = "association"
    TRADE_UNION = "trade_union"
    LABOUR_INSPECTORATE = "labour_inspectorate"
    POLICE = "police"
    EMBASSY = "embassy"
    PARTNER_SYSTEM = "partner_system"
    ANONYMOUS = "anonymous"
    OTHER = "other"


class Verdict(StrEnum):
    """What the screening of a report proposes."""

    URGENT = "urgent"
    IN_SCOPE = "in_scope"
    OUT_OF_SCOPE = "out_of_scope"


class Reorientation(StrEnum):
    """Where somebody is sent whose report is out of scope; the addresses are found for the country when it is read."""

    EMERGENCY_SERVICES = "emergency_services"
    CHILD_PROTECTION = "child_protection"
    DOMESTIC_VIOLENCE = "domestic_violence"
    SEXUAL_VIOLENCE = "sexual_violence"
    LABOUR_INSPECTORATE = "labour_inspectorate"
    TRADE_UNION = "trade_union"
    LEGAL_ADVICE = "legal_advice"
    MIGRANTS_RIGHTS = "migrants_rights"
    ASYLUM = "asylum"
    HOMELESSNESS = "homelessness"
    HEALTH_SERVICES = "health_services"
    OTHER_TRAFFICKING_ORGANISATION = "other_trafficking_organisation"


class Step(StrEnum):
    """What may happen in the life of a referral, in the past tense; each is also the name of an event and of a fact."""

    OFFERED = "offered"
    RECEIVED = "received"
    OPENED = "opened"
    ASKED = "asked"
    ANSWERED = "answered"
    ACCEPTED = "accepted"
    DISCLOSED = "disclosed"
    DECLINED = "declined"
    REDIRECTED = "redirected"
    ARRIVED = "arrived"
    MISSED = "missed"
    RESCHEDULED = "rescheduled"
    PROGRESSED = "progressed"
    CLOSED = "closed"
    WITHDRAWN = "withdrawn"
    CONSENT_WITHDRAWN = "consent-withdrawn"


class AgeBand(StrEnum):
    """How old a person is, in years completed. Doubt counts as a child."""

    FROM_0_TO_11 = "0_11"
    FROM_12_TO_14 = "12_14"
    FROM_15_TO_17 = "15_17"
    CHILD = "child"
    IN_DOUBT = "in_doubt"
    FROM_18_TO_20 = "18_20"
    FROM_21_TO_24 = "21_24"
    FROM_25_TO_34 = "25_34"
    FROM_35_TO_44 = "35_44"
    FROM_45_TO_59 = "45_59"
    FROM_60 = "60_plus"
    ADULT = "adult"

    @property
    def is_child(self) -> bool:
        """Whether the rules for children apply: under 18, or not surely an adult."""
        return self in _CHILDREN


_CHILDREN = frozenset(
    {AgeBand.FROM_0_TO_11, AgeBand.FROM_12_TO_14, AgeBand.FROM_15_TO_17, AgeBand.CHILD, AgeBand.IN_DOUBT},
)


class Sex(StrEnum):
    """As the person says, or ``unknown``."""

    FEMALE = "female"
    MALE = "male"
    OTHER = "other"
    UNKNOWN = "unknown"
