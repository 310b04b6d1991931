"""Every code that a service can answer with has words, in every language, and no catalogue has words for nothing.

Codes are found where they are: in the closed lists, and in the source, where something is refused under a literal.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import services
import shared
from services.intake.report_desk import OVER_HTTP_ONLY
from services.intake.routes.events import NOT_RECOGNISED, NOT_TAKEN
from services.notify.bell import TooManyStreamsError
from services.referral.domain.policy import Withheld
from services.referral.domain.receipts import ReceiptFault
from services.referral.domain.refusals import Refused
from shared.contracts.codes import Reorientation, Verdict
from shared.contracts.problem import FieldCode, ProblemCode
from shared.messaging.desk import REUSED
from shared.messaging.holding import FAILED, GIVEN_UP
from shared.messaging.shell import BUSY, EARLY
from shared.sealing.codes import DirectoryCode, EnvelopeCode, KeyringCode, ReceiptCode
from shared.web.frame import LOCALE as FRAME
from shared.words import Words

SERVICES = Path(services.__file__).parent
SHARED = Path(shared.__file__).parent
LANGUAGES = ("fr", "en")

REFUSERS = {"Problem", "PydanticCustomError", "refuse_together", "Unreadable", "Later", "refused"}
"""What takes a code as its first argument, or, for a problem, as its second."""

LISTED: dict[str, tuple[str, ...]] = {
    "frame": (
        "clock-file-in-tests-only",
        "time-zone-unknown",
        "broker-address-malformed",
        "site-address-malformed",
        *ProblemCode,
        *FieldCode,
        *EnvelopeCode,
        *DirectoryCode,
        KeyringCode.KEY_MISSING,
        REUSED,
        BUSY,
        EARLY,
        FAILED,
        GIVEN_UP,
    ),
    "intake": (
        REUSED,
        NOT_TAKEN,
        NOT_RECOGNISED,
        OVER_HTTP_ONLY,
        *(f"verdict-{verdict}" for verdict in Verdict),
        *(f"turn-to-{kind}" for kind in Reorientation),
    ),
    "referral": (*Refused, *Withheld, *ReceiptCode, *ReceiptFault),
    "notify": (TooManyStreamsError.code,),
}


def literals(*folders: Path) -> Iterator[str]:
    """Yield every code under which something is refused in ``folders``; settings are refused before anybody asks."""
    for path in (path for folder in folders for path in sorted(folder.rglob("*.py")) if path.name != "settings.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _name(node.func) in REFUSERS:
                yield from (
                    each.value
                    for each in node.args[:2]
                    if isinstance(each, ast.Constant) and isinstance(each.value, str) and _is_code(each.value)
                )


def _name(function: ast.expr) -> str:
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _is_code(text: str) -> bool:
    return "-" in text and text.replace("-", "").isalnum() and text.islower()


def words(of: str) -> tuple[Words, set[str]]:
    """Return the words of the frame or of a service, and the codes that it must have words for."""
    if of == "frame":
        return Words(FRAME), {*map(str, LISTED[of]), *literals(SHARED / "contracts", SHARED / "web")}
    return Words(SERVICES / of / "locale", FRAME), {*map(str, LISTED[of]), *literals(SERVICES / of)}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("of", LISTED)
def test_every_code_has_words(of: str, language: str) -> None:
    catalogues, codes = words(of)
    assert len(codes) >= len(set(map(str, LISTED[of])))
    assert sorted(code for code in codes if catalogues.say(language, code) == code) == []


@pytest.mark.parametrize("of", LISTED)
def test_the_languages_differ(of: str) -> None:
    catalogues, codes = words(of)
    assert sorted(code for code in codes if len({catalogues.say(each, code) for each in LANGUAGES}) == 1) == []


@pytest.mark.parametrize("of", ["frame", "intake", "referral"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_no_words_are_left_of_codes_that_went(of: str, language: str) -> None:
    folder = FRAME if of == "frame" else SERVICES / of / "locale"
    said = {
        line.removeprefix('msgid "').removesuffix('"')
        for line in (folder / f"{language}.po").read_text(encoding="utf-8").splitlines()
        if line.startswith("msgid ")
    }
    assert said - words(of)[1] - {""} == set()


def test_literals_are_found_where_something_is_refused() -> None:
    found = set(literals(SHARED / "contracts"))
    assert {"country-unknown", "ended-before-began"} <= found
