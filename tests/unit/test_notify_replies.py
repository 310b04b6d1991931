"""A refusal is the recipient's where the reply says so, and ours where it does not."""

import pytest

from services.notify.domain.replies import is_recipients


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (550, "5.1.1 no such user"),
        (550, "5.1.10 takes no mail\n5.1.10 (null MX)"),
        (552, "5.2.2 mailbox full"),
        (554, "5.2.1 not in use"),
        (550, "5.4.1 not to be reached"),
        (550, "no such mailbox"),
        (551, "user has moved"),
        (553, "not a name of a mailbox"),
    ],
)
def test_what_is_wrong_with_the_recipient_is_theirs(code: int, text: str) -> None:
    assert is_recipients(code, text)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (554, "5.7.1 <ana@ccem.example.org>: Relay access denied"),
        (550, "5.7.1 your network is blocked"),
        (553, "5.1.8 <relais@ccem.example.org>: sender's domain not found"),
        (550, "5.1.7 sender"),
        (550, "5.3.2 not now and not ever"),
        (503, "5.5.1 sign in first"),
        (530, "5.7.0 sign in first"),
        (530, "sign in first"),
        (550, "relay not permitted"),
        (554, "transaction failed"),
        (521, "takes no mail"),
    ],
)
def test_what_a_server_does_not_blame_on_the_recipient_is_ours(code: int, text: str) -> None:
    assert not is_recipients(code, text)
