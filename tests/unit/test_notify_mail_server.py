"""The address of a mail server is read, or refused without repeating the password in it."""

import traceback

import pytest

from services.notify.mail.outcome import SERVICE
from services.notify.mail.server import Limits, MailServer, MailServerAddressError
from shared.messaging import places

SENDER = "relais@ccem.example.org"


@pytest.mark.parametrize(
    ("address", "read"),
    [
        ("smtp://127.0.0.1:2525", ("smtp", "127.0.0.1", 2525, None, None)),
        ("smtp://mail.example.org", ("smtp", "mail.example.org", 25, None, None)),
        ("smtp+starttls://ana:p%40ss@mail.example.org", ("smtp+starttls", "mail.example.org", 587, "ana", "p@ss")),
        ("smtps://ana@[::1]", ("smtps", "::1", 465, "ana", None)),
    ],
)
def test_an_address_is_read(address: str, read: tuple[str, str, int, str | None, str | None]) -> None:
    server = MailServer.at(address, SENDER)
    assert (server.scheme, server.host, server.port, server.user, server.password) == read
    assert server.name == "ccem.example.org"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "mail.example.org",
        "http://mail.example.org",
        "smtp://",
        "smtps://u:Canary@host:port",
        "smtp://u:Canary@host",
        "smtp://[::1",
        "smtp:h",
    ],
)
def test_another_address_is_refused_without_a_word_of_it(address: str) -> None:
    with pytest.raises(MailServerAddressError) as refused:
        MailServer.at(address, SENDER)
    assert "Canary" not in "".join(traceback.format_exception(refused.value))
    assert refused.value.code == "mail-server-address-malformed"


def test_a_password_is_not_shown() -> None:
    assert "p@ss" not in repr(MailServer.at("smtps://ana:p%40ss@mail.example.org", SENDER))


def test_the_answer_is_waited_for_longest() -> None:
    limits = Limits(connect=1, command=2, answer=30)
    assert limits.longest_try == 38
    assert Limits().answer > Limits().command > 0


def test_the_service_has_one_name() -> None:
    assert places.NOTIFY == SERVICE
