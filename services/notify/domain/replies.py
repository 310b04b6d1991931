"""Whose a refusal is: what a mail server will never take for a recipient's sake, or will not take from us.

A server that blocks us, or does not relay for us, often says so only where the recipient is named (RFC 5321, 7.9):
each mail would look like one that nobody can get. What must never happen: the mails of everybody are parked for what is
wrong with us. What no reply tells apart is therefore taken for ours, until the server takes another mail.
"""

import re
from typing import Final

RECIPIENTS: Final = range(550, 554)
"""RFC 5321, 4.2.3: replies about a mailbox. The others are about the transaction, the command or who we are."""

RELAY: Final = re.compile(r"\brelay", re.IGNORECASE)
"""What servers that know no enhanced codes write where they do not relay for us, under 550 as well."""

ENHANCED: Final = re.compile(r"5\.(\d{1,3})\.(\d{1,3})\b")
"""RFC 2034, 4: an enhanced code begins the text of a reply."""

SENDERS: Final = frozenset({("1", "7"), ("1", "8")})
"""RFC 3463, 3.2: among the addresses, those that speak of the sender's."""

OF_RECIPIENTS: Final = frozenset({"1", "2", "4"})
"""RFC 3463, 3: an address, a mailbox, the way there. The rest is the server, the protocol, security."""


def is_recipients(code: int, text: str) -> bool:
    """Say whether a refusal for good, ``code`` and ``text``, is about the one recipient, and not about us."""
    enhanced = ENHANCED.match(text)
    if enhanced is None:
        return code in RECIPIENTS and RELAY.search(text) is None
    subject, detail = enhanced.groups()
    return subject in OF_RECIPIENTS and (subject, detail) not in SENDERS
