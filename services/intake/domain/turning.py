"""Where to turn instead: what kind of help a report calls for, and on which line it answers in the country.

Numbers are facts of a country. They stand here in one table, short enough for a person to check, and only those that
are national and stable: opening hours and local services change too often for a program. Where the table has no line
for a country, the kind of help is still said. Checked in November 2026 against service-public.fr, justice.gouv.fr,
dreets.gouv.fr and the services' own pages.

What must never happen: a danger now is answered with anything before the emergency services.
"""

from collections.abc import Iterator

from shared.contracts.codes import (
    CcemCriterion,
    Exploitation,
    Finding,
    IloIndicator,
    MeansOfControl,
    Need,
    Reorientation,
    Sex,
)
from shared.contracts.countries import EEA
from shared.contracts.personal import Country
from shared.contracts.report import Report
from shared.values import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """A service that answers: its own name, in its own language, and how to reach it."""

    name: str
    number: str
    """As it is dialled inside the country."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A kind of help, and the lines on which it answers; no line where we know of none."""

    to: Reorientation
    lines: tuple[Line, ...]


EMERGENCY_112 = Line("112", "112")
"""Everywhere in the European Union (Directive 2018/1972, article 109) and the EEA."""

FRANCE = "FR"

VICTIM_SUPPORT_FR = Line("France Victimes", "116 006")

LINES_FR: dict[Reorientation, tuple[Line, ...]] = {
    Reorientation.EMERGENCY_SERVICES: (
        Line("Police ou gendarmerie", "17"),
        EMERGENCY_112,
        Line("Urgences par SMS, pour qui ne peut pas parler ou entendre", "114"),
        Line("SAMU", "15"),
    ),
    Reorientation.CHILD_PROTECTION: (Line("Allô enfance en danger", "119"),),
    Reorientation.DOMESTIC_VIOLENCE: (Line("Violences Femmes Info", "3919"), VICTIM_SUPPORT_FR),
    Reorientation.SEXUAL_VIOLENCE: (Line("Viols Femmes Informations", "0 800 05 95 95"), VICTIM_SUPPORT_FR),
    Reorientation.LABOUR_INSPECTORATE: (Line("Renseignement en droit du travail", "0 806 000 126"),),
    Reorientation.LEGAL_ADVICE: (Line("Point-justice", "3039"), VICTIM_SUPPORT_FR),
    Reorientation.HOMELESSNESS: (Line("Samu social", "115"),),
    Reorientation.HEALTH_SERVICES: (Line("SAMU", "15"),),
}


def where_to_turn(report: Report, *, for_us: bool, outside: bool) -> tuple[Elsewhere, ...]:
    """Return where to turn, the most pressing first, each kind once.

    Args:
        report: what was told.
        for_us: whether the organisation takes it on; then only what cannot wait for it is named.
        outside: whether what was told is another organisation's to take on.
    """
    kinds = dict.fromkeys(_at_once(report))
    if not for_us:
        kinds |= dict.fromkeys(_instead(report, outside=outside))
        kinds = kinds or {Reorientation.LEGAL_ADVICE: None}
    return tuple(Elsewhere(kind, lines_for(kind, report.situation.country)) for kind in kinds)


def lines_for(kind: Reorientation, country: Country) -> tuple[Line, ...]:
    """Return the lines for this kind of help in ``country`` (ISO 3166-1 alpha-2); nothing where we know of none."""
    if country == FRANCE:
        return LINES_FR.get(kind, ())
    if kind is Reorientation.EMERGENCY_SERVICES and country in EEA:
        return (EMERGENCY_112,)
    return ()


def _at_once(report: Report) -> Iterator[Reorientation]:
    """Yield what cannot wait for anybody's decision."""
    if report.immediate_danger is Finding.YES:
        yield Reorientation.EMERGENCY_SERVICES
    if report.person.age_band.is_child:
        yield Reorientation.CHILD_PROTECTION


def _instead(report: Report, *, outside: bool) -> Iterator[Reorientation]:
    """Yield the kinds of help that the answers call for."""
    if outside:
        yield Reorientation.OTHER_TRAFFICKING_ORGANISATION
    yield from _against_violence(report)
    yield from _at_work(report)
    needs = report.needs
    if needs & {Need.SAFE_SHELTER, Need.EMERGENCY_ACCOMMODATION, Need.FOOD_AND_CLOTHING}:
        yield Reorientation.HOMELESSNESS
    if needs & {Need.RESIDENCE_PROCEDURE, Need.VOLUNTARY_RETURN}:
        yield Reorientation.MIGRANTS_RIGHTS
    if needs & {Need.MEDICAL, Need.PSYCHOLOGICAL}:
        yield Reorientation.HEALTH_SERVICES
    if needs & {Need.LEGAL_CRIMINAL, Need.LEGAL_LABOUR_COURT, Need.LEGAL_COMPENSATION, Need.ADMINISTRATIVE}:
        yield Reorientation.LEGAL_ADVICE


def _against_violence(report: Report) -> Iterator[Reorientation]:
    forms, control = report.situation.forms, report.situation.control
    if MeansOfControl.SEXUAL_ABUSE in control or Exploitation.SEXUAL_EXPLOITATION in forms:
        yield Reorientation.SEXUAL_VIOLENCE
    violent = (
        CcemCriterion.THREATS_OR_VIOLENCE in report.criteria.answered(Finding.YES)
        or IloIndicator.PHYSICAL_AND_SEXUAL_VIOLENCE in report.indicators.answered(Finding.YES)
        or bool(control & {MeansOfControl.PHYSICAL_ABUSE, MeansOfControl.PSYCHOLOGICAL_ABUSE, MeansOfControl.THREATS})
    )
    if violent or Exploitation.FORCED_MARRIAGE in forms:
        yield Reorientation.LEGAL_ADVICE if report.person.sex is Sex.MALE else Reorientation.DOMESTIC_VIOLENCE


def _at_work(report: Report) -> Iterator[Reorientation]:
    criteria, indicators = report.criteria.answered(Finding.YES), report.indicators.answered(Finding.YES)
    badly_paid = (
        CcemCriterion.NO_OR_INSUFFICIENT_PAY in criteria
        or CcemCriterion.EXORBITANT_WORKLOAD in criteria
        or bool(indicators & {IloIndicator.WITHHOLDING_OF_WAGES, IloIndicator.EXCESSIVE_OVERTIME})
        or IloIndicator.ABUSIVE_WORKING_AND_LIVING_CONDITIONS in indicators
    )
    if badly_paid:
        yield Reorientation.LABOUR_INSPECTORATE
        yield Reorientation.TRADE_UNION
    elif report.situation.sectors or Need.WORK in report.needs:
        yield Reorientation.LABOUR_INSPECTORATE
