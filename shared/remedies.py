"""What helps whoever runs a node, by the code of what is wrong; said by a service that cannot start, and by ``relais``.

What must never happen: a value that was set (a password, an address) in one of these sentences.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

REMEDIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "port-taken": "another program listens on this address: stop it, or set RELAIS_{NAME}_PORT to another port",
        "database-refused-login": "the database does not take this role and password: see RELAIS_{NAME}_DATABASE",
        "database-missing": "there is no such database: create it, or see RELAIS_{NAME}_DATABASE",
        "database-address-malformed": "RELAIS_{NAME}_DATABASE is not the address of a database: postgresql://…",
        "migration-missing": "the schema is not up to date: run the migrations as its owner before the service",
        "migration-changed": "the schema was made by other migrations than these: run the version that it belongs to",
        "broker-refused-login": "the broker does not take this user and password: see RELAIS_{NAME}_NODE_BROKER and"
        " RELAIS_{NAME}_EXCHANGE_BROKER",
        "broker-topology-missing": "a queue or an exchange is not there: apply the node's definitions to the broker",
        "keyring-missing": "there is no keyring in RELAIS_FOLDER: enrol the organisation first, or name its folder",
        "keyring-unreadable": "this user cannot read the keyring in RELAIS_FOLDER",
        "keyring-exposed": "others can read the keyring in RELAIS_FOLDER: set its mode to 0600",
        "keyring-wrong-passphrase": "RELAIS_{NAME}_PASSPHRASE does not open the keyring",
        "keyring-damaged": "the keyring is not as it was written: restore it from its backup",
        "keyring-key-missing": "the keyring holds no key that is valid now: make new ones and publish them",
        "organisation-unreadable": "our own identity or key document in RELAIS_FOLDER is missing or refused",
        "staff-missing": "staff.json in RELAIS_FOLDER cannot be read",
        "staff-malformed": "staff.json in RELAIS_FOLDER is not a list of members of staff, or a field of one is wrong",
        "staff-id-reserved": "an id in staff.json is clock, reporter, or looks like an organisation's (ana-fr):"
        " choose another",
        "staff-id-repeated": "two members in staff.json have one id: give each their own",
        "staff-token-repeated": "two members in staff.json have one token: make a new one for each of them",
        "vkey-malformed": "this is no verifier key (C2SP signed-note)",
        "vkey-unsupported": "this kind of verifier key is not supported",
        "mail-server-address-malformed": "RELAIS_NOTIFY_SMTP is not the address of a mail server: smtp://…",
    }
)
"""``{NAME}`` stands for the service, as its settings are called after it."""


def remedy(code: str, service: str) -> str | None:
    """Return the sentence that helps against ``code`` in ``service``; ``None`` where there is none."""
    sentence = REMEDIES.get(code)
    return sentence and sentence.replace("{NAME}", service.upper())
