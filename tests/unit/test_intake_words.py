"""Every code that intake can answer with has words, in French and in English."""

import pytest

from services.intake.app import LOCALE
from services.intake.domain.admission import REUSED
from services.intake.routes.events import NOT_TAKEN
from services.intake.routes.reports import KEY_REUSED
from services.intake.takes import OVER_HTTP_ONLY
from shared.contracts.codes import Reorientation, Verdict
from shared.contracts.problem import FieldCode
from shared.messaging.shell import FAILED, GIVEN_UP
from shared.sealing.codes import DirectoryCode, EnvelopeCode
from shared.web.frame import LOCALE as FRAME
from shared.words import Words

CONTRADICTIONS = (
    "agrees-without-knowing",
    "anonymous-with-contact",
    "call-back-without-contact",
    "contact-or-none",
    "country-unknown",
    "danger-without-urgency",
    "ended-and-ongoing",
    "ended-before-began",
)
CODES = [
    *EnvelopeCode,
    *DirectoryCode,
    *(code for code in FieldCode if code is not FieldCode.NOT_JSON),
    *CONTRADICTIONS,
    *(f"verdict-{verdict}" for verdict in Verdict),
    *(f"turn-to-{kind}" for kind in Reorientation),
    REUSED,
    NOT_TAKEN,
    KEY_REUSED,
    OVER_HTTP_ONLY,
    FAILED,
    GIVEN_UP,
    "too-many-requests",
    "media-type-unsupported",
    "request-malformed",
    "request-too-large",
    "fields-invalid",
    "not-found",
    "try-again",
]
WORDS = Words(LOCALE, FRAME)


@pytest.mark.parametrize("language", ["fr", "en"])
def test_every_code_has_words(language: str) -> None:
    silent = [code for code in CODES if WORDS.say(language, str(code)) == code]
    assert silent == []


def test_the_two_languages_differ() -> None:
    same = [code for code in CODES if WORDS.say("fr", str(code)) == WORDS.say("en", str(code))]
    assert same == []
