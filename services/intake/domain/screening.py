"""Screening: what a report looks like at first sight, before a human has read it.

The very large majority of calls are not about trafficking, and whoever makes one must be told at once where to turn.
So the screening answers two questions: is this for us, and how fast; and where else there is help. It is a proposal.
Staff read every report, the ones that are out of scope too, and may decide otherwise.

It looks at answers that were chosen from lists, never at a name, a text or a place. CCEM judges a *bundle* of seven
criteria (faisceau d'indices); the ILO says of its eleven indicators that one may be enough and several usually are. The
offences behind them need two things at once: that somebody gains by a person's work or acts, and that the person is
held. The rules below ask for the two together, or for many signs of either.

What must never happen: a danger, a child or a further sign makes a report count for less; an *unknown* counts as a *no*
where a *yes* would have mattered; somebody is sent away with nowhere to turn.

Sources: esclavagemoderne.org (the seven criteria); ILO, *Indicators of forced labour* (2012); Code pénal, articles
225-4-1 (trafficking), 225-13 and 225-14 (work without pay, undignified conditions), 225-14-1 and 225-14-2 (forced
labour, servitude).
"""

from collections.abc import Iterable
from enum import StrEnum

from services.intake.domain.turning import Elsewhere, where_to_turn
from shared.contracts.codes import (
    CcemCriterion,
    Exploitation,
    Finding,
    IloIndicator,
    Reorientation,
    Urgency,
    Verdict,
)
from shared.contracts.personal import Country
from shared.contracts.report import Report
from shared.values import dataclass


class ScreeningReason(StrEnum):
    """Why the screening says what it says. Codes; the words are found when somebody reads them."""

    DANGER_NOW = "danger_now"
    SAID_TO_BE_IMMEDIATE = "said_to_be_immediate"
    CHILD = "child"
    CHILD_STILL_EXPLOITED = "child_still_exploited"
    FORM_IN_REMIT = "form_in_remit"
    FORM_OUTSIDE_REMIT = "form_outside_remit"
    WORK_AND_CONSTRAINT = "work_and_constraint"
    SEVERAL_CRITERIA = "several_criteria"
    SEVERAL_INDICATORS = "several_indicators"
    NOT_ENOUGH_KNOWN = "not_enough_known"
    TOO_FEW_SIGNS = "too_few_signs"
    NO_SIGN = "no_sign"
    DIPLOMATIC_HOUSEHOLD = "diplomatic_household"
    ABROAD = "abroad"


@dataclass(frozen=True, slots=True)
class Remit:
    """What an organisation takes on, and where it is at home."""

    forms: frozenset[Exploitation]
    country: Country
    """Where the organisation is at home."""


EXPLOITATION_BY_WORK = frozenset(
    {
        Exploitation.FORCED_LABOUR,
        Exploitation.DOMESTIC_SERVITUDE,
        Exploitation.CHILD_LABOUR,
        Exploitation.FORCED_BEGGING,
        Exploitation.FORCED_CRIMINALITY,
        Exploitation.OTHER,
    },
)
"""The forms that an organisation such as CCEM takes on. *Other* is not for a machine to turn away."""

SEVERAL_CRITERIA = 3
"""Of seven. So many together are taken on whichever they are."""

SEVERAL_INDICATORS = 3
"""Of eleven."""

WORK_CRITERIA = frozenset(
    {
        CcemCriterion.EXORBITANT_WORKLOAD,
        CcemCriterion.NO_OR_INSUFFICIENT_PAY,
        CcemCriterion.DISCRIMINATORY_LIVING_CONDITIONS,
    },
)
"""Somebody gains by it. The others say that the person is held."""

WORK_INDICATORS = frozenset(
    {
        IloIndicator.WITHHOLDING_OF_WAGES,
        IloIndicator.ABUSIVE_WORKING_AND_LIVING_CONDITIONS,
        IloIndicator.EXCESSIVE_OVERTIME,
    },
)
"""Somebody gains by it."""

HOLDING_INDICATORS = frozenset(
    {
        IloIndicator.RESTRICTION_OF_MOVEMENT,
        IloIndicator.ISOLATION,
        IloIndicator.PHYSICAL_AND_SEXUAL_VIOLENCE,
        IloIndicator.INTIMIDATION_AND_THREATS,
        IloIndicator.RETENTION_OF_IDENTITY_DOCUMENTS,
        IloIndicator.DEBT_BONDAGE,
    },
)
"""The person is held. Deception and abuse of vulnerability count, and say neither."""


@dataclass(frozen=True, slots=True)
class Signs:
    """The answers that were *yes*; or, to see what is not known yet, those that were not *no*."""

    criteria: frozenset[CcemCriterion]
    indicators: frozenset[IloIndicator]

    @classmethod
    def of(cls, report: Report, *findings: Finding) -> "Signs":
        """Return the criteria and indicators of ``report`` that were answered with one of ``findings``."""
        return cls(report.criteria.answered(*findings), report.indicators.answered(*findings))

    @property
    def any(self) -> bool:
        """Whether there is a sign at all."""
        return bool(self.criteria or self.indicators)

    @property
    def gain(self) -> bool:
        """Whether somebody gains by the person's work."""
        return bool(self.criteria & WORK_CRITERIA or self.indicators & WORK_INDICATORS)

    @property
    def held(self) -> bool:
        """Whether the person is held."""
        return bool(self.criteria - WORK_CRITERIA or self.indicators & HOLDING_INDICATORS)

    def bundle(self) -> tuple[ScreeningReason, ...]:
        """Return what in these signs, taken together, speaks of exploitation; nothing when they are too few."""
        found = (
            (ScreeningReason.WORK_AND_CONSTRAINT, self.gain and self.held),
            (ScreeningReason.SEVERAL_CRITERIA, len(self.criteria) >= SEVERAL_CRITERIA),
            (ScreeningReason.SEVERAL_INDICATORS, len(self.indicators) >= SEVERAL_INDICATORS),
        )
        return tuple(reason for reason, holds in found if holds)


@dataclass(frozen=True, slots=True)
class Screened:
    """What was found, why, and where there is help besides."""

    verdict: Verdict
    reasons: tuple[ScreeningReason, ...]
    """The weightiest first, each once."""
    signs: Signs
    turn_to: tuple[Elsewhere, ...]
    """Where to turn instead when the report is out of scope; when it is not, where to turn at once as well."""

    @property
    def reorientation(self) -> Reorientation | None:
        """The first place to turn to instead; ``None`` when the report is for us."""
        return self.turn_to[0].to if self.verdict is Verdict.OUT_OF_SCOPE else None


def screen(report: Report, remit: Remit) -> Screened:
    """Screen a report for the organisation that has this ``remit``. Total: every report gets a verdict."""
    signs = Signs.of(report, Finding.YES)
    why = _for_us(report, signs, remit)
    pressing = _pressing(report, signs, for_us=bool(why))
    verdict = Verdict.URGENT if pressing else Verdict.IN_SCOPE if why else Verdict.OUT_OF_SCOPE
    reasons = (*pressing, *why, *_against(report, signs, remit, for_us=bool(why)), *_besides(report, remit))
    turn_to = where_to_turn(report, for_us=bool(why), outside=_outside(report, remit))
    return Screened(verdict, _each_once(reasons), signs, turn_to)


def _for_us(report: Report, signs: Signs, remit: Remit) -> tuple[ScreeningReason, ...]:
    """Return why the report is for us: nothing when it is not."""
    if _outside(report, remit):
        return ()
    in_remit = bool(report.situation.forms & remit.forms)
    found = list(signs.bundle())
    if in_remit and signs.any:
        found.append(ScreeningReason.FORM_IN_REMIT)
    if report.person.age_band.is_child and (signs.any or in_remit):
        found.append(ScreeningReason.CHILD)
    if not found and (signs.any or in_remit):
        possible = Signs.of(report, Finding.YES, Finding.UNKNOWN)
        if possible.bundle() or (in_remit and possible.any):
            found.append(ScreeningReason.NOT_ENOUGH_KNOWN)
    return tuple(found)


def _pressing(report: Report, signs: Signs, *, for_us: bool) -> tuple[ScreeningReason, ...]:
    """Return why a human of ours must look at it now: nothing when it can wait its turn, or is not for us.

    A danger now, with any sign that it may be for us, is never left to another organisation alone.
    """
    still = report.situation.ongoing is not Finding.NO
    danger = report.immediate_danger is Finding.YES
    found = (
        (ScreeningReason.DANGER_NOW, danger and (for_us or signs.any or bool(report.situation.forms))),
        (ScreeningReason.SAID_TO_BE_IMMEDIATE, for_us and report.urgency is Urgency.IMMEDIATE),
        (ScreeningReason.CHILD_STILL_EXPLOITED, for_us and still and report.person.age_band.is_child),
    )
    return tuple(reason for reason, holds in found if holds)


def _against(report: Report, signs: Signs, remit: Remit, *, for_us: bool) -> tuple[ScreeningReason, ...]:
    """Return why the report is not for us: nothing when it is."""
    if for_us:
        return ()
    if _outside(report, remit):
        return (ScreeningReason.FORM_OUTSIDE_REMIT,)
    return (ScreeningReason.TOO_FEW_SIGNS if signs.any else ScreeningReason.NO_SIGN,)


def _besides(report: Report, remit: Remit) -> tuple[ScreeningReason, ...]:
    """Return what else whoever reads it should know at first sight."""
    found = (
        (ScreeningReason.CHILD, report.person.age_band.is_child),
        (ScreeningReason.DANGER_NOW, report.immediate_danger is Finding.YES),
        (ScreeningReason.DIPLOMATIC_HOUSEHOLD, report.situation.diplomatic_household is Finding.YES),
        (ScreeningReason.ABROAD, report.situation.country != remit.country),
    )
    return tuple(reason for reason, holds in found if holds)


def _outside(report: Report, remit: Remit) -> bool:
    """Tell whether everything that was named is for other organisations. What was not named is not outside."""
    return bool(report.situation.forms) and report.situation.forms.isdisjoint(remit.forms)


def _each_once(reasons: Iterable[ScreeningReason]) -> tuple[ScreeningReason, ...]:
    return tuple(dict.fromkeys(reasons))
