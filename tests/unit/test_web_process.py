"""Every code that can keep a service from starting has a sentence that helps, and no sentence holds a value."""

import subprocess
import sys

import asyncpg
import pytest
from pydantic import ValidationError

from services.intake.settings import IntakeSettings
from services.notify.mail.server import MailServerAddressError
from services.notify.settings import NotifySettings
from shared.messaging.rabbit import BrokerError
from shared.sealing.codes import DirectoryCode, DirectoryError, KeyringCode, KeyringError
from shared.staff import StaffError
from shared.storage.migrate import MigrationError
from shared.storage.pool import DatabaseAddressError
from shared.web.process import code_of, reason, wrong_settings
from shared.web.server import PortTakenError

CANARY = "kanarienvogel"

BEGINS = """
import resource
from shared.web.process import start

def served():
    print(resource.getrlimit(resource.RLIMIT_CORE))
    raise SystemExit

_, most = resource.getrlimit(resource.RLIMIT_CORE)
resource.setrlimit(resource.RLIMIT_CORE, (most, most))
start(served)
"""


@pytest.mark.parametrize(
    "error",
    [
        *(KeyringError(code) for code in KeyringCode if code is not KeyringCode.EXISTS),
        DirectoryError(DirectoryCode.OURSELVES_UNREADABLE),
        *(BrokerError(code, CANARY) for code in ("broker-refused-login", "broker-topology-missing")),
        *(MigrationError(code, CANARY) for code in ("migration-missing", "migration-changed")),
        *(
            StaffError(f"staff-{what}")
            for what in ("missing", "malformed", "id-reserved", "id-repeated", "token-repeated")
        ),
        MailServerAddressError(),
        PortTakenError("intake"),
        asyncpg.InvalidPasswordError(CANARY),
        asyncpg.InvalidCatalogNameError(CANARY),
        DatabaseAddressError(),
    ],
    ids=lambda error: str(getattr(error, "code", type(error).__name__)),
)
def test_what_is_wrong_has_a_code_and_a_sentence_that_helps(error: Exception) -> None:
    line = reason("intake", error)
    assert line.startswith(f"{code_of(error)}: intake: ")
    assert "see the log" not in line
    assert "{" not in line
    assert CANARY not in line
    assert "\n" not in line


def test_what_nobody_foresaw_sends_the_reader_to_the_log() -> None:
    assert reason("notify", RuntimeError(CANARY)) == "service-failed: notify: see the log above"


def test_all_that_is_missing_is_one_line_and_each_wrong_setting_another() -> None:
    told = {"organisation": CANARY * 9, "folder": "here", "intake_port": CANARY}
    with pytest.raises(ValidationError) as caught:
        IntakeSettings.model_validate(told)
    missing, *wrong = wrong_settings(caught.value)
    assert missing.startswith("setting-missing: RELAIS_INTAKE_DATABASE, RELAIS_INTAKE_NODE_BROKER, ")
    assert {line.split(": ")[1] for line in wrong} == {"RELAIS_ORGANISATION", "RELAIS_INTAKE_PORT"}
    assert CANARY not in "".join([missing, *wrong])


@pytest.mark.parametrize("more", ["?", f"?to={CANARY}", "#", f"#{CANARY}"])
def test_what_no_link_can_begin_with_is_a_wrong_setting(more: str) -> None:
    for address in (f"https://here.example.org/a/{more}", f"https://{CANARY}@here.example.org/"):
        with pytest.raises(ValidationError) as caught:
            NotifySettings.model_validate({"public_url": address})
        _, *lines = wrong_settings(caught.value)
        [line] = [line for line in lines if "PUBLIC_URL" in line]
        assert line.startswith("setting-wrong: RELAIS_PUBLIC_URL: site-address-malformed: ")
        assert CANARY not in line


@pytest.mark.parametrize("address", ["", "here", "http://here/", f"amqp://relais:{CANARY}@/", f"amqp://here:{CANARY}/"])
def test_what_is_no_address_of_a_broker_is_a_wrong_setting(address: str) -> None:
    with pytest.raises(ValidationError) as caught:
        IntakeSettings.model_validate({"intake_node_broker": address, "intake_exchange_broker": "amqps://here/there"})
    _, line = wrong_settings(caught.value)
    assert line.startswith("setting-wrong: RELAIS_INTAKE_NODE_BROKER: broker-address-malformed: ")
    assert CANARY not in line


def test_a_service_that_crashes_leaves_no_core_file() -> None:
    begun = subprocess.run([sys.executable, "-c", BEGINS], capture_output=True, text=True, check=True, timeout=60)
    assert begun.stdout == "(0, 0)\n"
