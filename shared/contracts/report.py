"""A report (*signalement*): what somebody tells intake before anyone has decided anything.

Intake checks it against this model, screens it and seals it at once to the referral service of its own organisation;
after that intake cannot read it again. Most reports are out of scope: whoever makes one must be told where to turn
instead, so the model asks for what the screening needs and leaves out what it does not.

The seven criteria and the eleven indicators are answered one by one, *yes*, *no* or *unknown*: one that was left out by
mistake would look like a *no*.
"""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from shared.contracts.codes import (
    AgeBand,
    CcemCriterion,
    Exploitation,
    Finding,
    IloIndicator,
    MeansOfControl,
    Need,
    Reorientation,
    ReporterKind,
    Sector,
    Sex,
    Urgency,
    Verdict,
)
from shared.contracts.event import Event
from shared.contracts.ids import Organisation, ReportId
from shared.contracts.personal import (
    Country,
    Email,
    Language,
    LongText,
    Personal,
    Telephone,
    Text,
    Word,
    answered,
    ended_after_it_began,
    refuse_together,
)


class Reporter(Personal):
    """Who tells, and whether they may be called back."""

    kind: ReporterKind
    name: Word | None = None
    organisation: Word | None = None
    telephone: Telephone | None = None
    email: Email | None = None
    language: Language | None = None
    call_back: bool = False
    """Whether the reporter asks to be called back, and may be."""
    safe_to_call: Text | None = None
    """When and how a call does no harm."""

    @model_validator(mode="after")
    def _can_be_what_they_say(self) -> Self:
        reachable = self.telephone is not None or self.email is not None
        if self.kind is ReporterKind.ANONYMOUS and (reachable or self.name is not None):
            refuse_together("anonymous-with-contact", "kind", "name", "telephone", "email")
        if self.call_back and not reachable:
            refuse_together("call-back-without-contact", "call_back", "telephone", "email")
        return self


class ReportedPerson(Personal):
    """Whom it is about, as far as the reporter knows."""

    age_band: AgeBand
    sex: Sex
    languages: Annotated[tuple[Language, ...], Field(max_length=10)] = ()
    nationality: Country | None = None
    name: Word | None = None
    telephone: Telephone | None = None
    safe_contact: Text | None = None
    do_not_contact: bool = False
    """Nothing may be sent to the person."""
    knows_of_report: Finding = Finding.UNKNOWN
    agrees: Finding = Finding.UNKNOWN

    @model_validator(mode="after")
    def _agrees_only_knowingly(self) -> Self:
        if self.agrees is Finding.YES and self.knows_of_report is Finding.NO:
            refuse_together("agrees-without-knowing", "agrees", "knows_of_report")
        if self.do_not_contact and self.safe_contact is not None:
            refuse_together("contact-or-none", "do_not_contact", "safe_contact")
        return self


class Situation(Personal):
    """What happens or happened, where, and since when."""

    country: Country
    place: Word | None = None
    """A town or district; an address only where help is needed at once."""
    forms: frozenset[Exploitation] = frozenset()
    sectors: frozenset[Sector] = frozenset()
    control: frozenset[MeansOfControl] = frozenset()
    began: date | None = None
    ended: date | None = None
    ongoing: Finding = Finding.UNKNOWN
    diplomatic_household: Finding = Finding.UNKNOWN
    account: LongText

    _ends_after_it_began = model_validator(mode="after")(ended_after_it_began)


class Criteria(Personal):
    """CCEM's seven criteria, each one answered; named as in :class:`CcemCriterion`."""

    exorbitant_workload: Finding
    no_or_insufficient_pay: Finding
    confiscated_papers: Finding
    threats_or_violence: Finding
    controlled_contacts: Finding
    discriminatory_living_conditions: Finding
    cultural_or_social_isolation: Finding

    def answered(self, *findings: Finding) -> frozenset[CcemCriterion]:
        """Return the criteria that were answered with one of ``findings``."""
        return answered(self, CcemCriterion, findings)


class Indicators(Personal):
    """The ILO's eleven indicators of forced labour, each one answered; named as in :class:`IloIndicator`."""

    abuse_of_vulnerability: Finding
    deception: Finding
    restriction_of_movement: Finding
    isolation: Finding
    physical_and_sexual_violence: Finding
    intimidation_and_threats: Finding
    retention_of_identity_documents: Finding
    withholding_of_wages: Finding
    debt_bondage: Finding
    abusive_working_and_living_conditions: Finding
    excessive_overtime: Finding

    def answered(self, *findings: Finding) -> frozenset[IloIndicator]:
        """Return the indicators that were answered with one of ``findings``."""
        return answered(self, IloIndicator, findings)


class Report(Personal):
    """One report, as it was told."""

    reporter: Reporter
    person: ReportedPerson
    situation: Situation
    criteria: Criteria
    indicators: Indicators
    needs: frozenset[Need] = frozenset()
    urgency: Urgency
    immediate_danger: Finding
    """Whether somebody's life or health is in danger now."""
    police_called: Finding = Finding.UNKNOWN
    consents_to_record: Literal[True]
    """The reporter was told what is kept of the report, and for how long."""

    @model_validator(mode="after")
    def _danger_is_not_left_to_wait(self) -> Self:
        if self.immediate_danger is Finding.YES and self.urgency is Urgency.STANDARD:
            refuse_together("danger-without-urgency", "immediate_danger", "urgency")
        return self


class Screening(Personal):
    """What intake found in a report: a proposal, which the organisation's staff may revise."""

    verdict: Verdict
    criteria_met: frozenset[CcemCriterion]
    indicators_met: frozenset[IloIndicator]
    reorientation: Reorientation | None = None
    """Where to turn instead, when the report is out of scope."""

    @model_validator(mode="after")
    def _nobody_is_sent_away_without_an_address(self) -> Self:
        if (self.verdict is Verdict.OUT_OF_SCOPE) != (self.reorientation is not None):
            refuse_together("reorientation-missing", "verdict", "reorientation")
        return self


class ReportTakenData(Personal):
    """A report and what intake found in it."""

    report: Report
    screening: Screening


class ReportTaken(Event):
    """``report.taken.v1``: an organisation's intake says it to its own referral service, sealed."""

    type: Literal["report.taken.v1"] = "report.taken.v1"
    report: ReportId
    by: Organisation
    """The organisation whose intake took it, which is also the one that it is for."""
    data: ReportTakenData
