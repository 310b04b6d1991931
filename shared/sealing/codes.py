"""Every reason for which something sealed or signed is refused, and the errors that carry it.

A refusal is a code and nothing else: no bytes, no name, no cause that could hold either. ``docs/protocol/`` lists the
same codes for those who write another implementation.
"""

from enum import StrEnum

from shared.contracts.coded import Coded


class EnvelopeCode(StrEnum):
    """Why an envelope is refused."""

    TRUNCATED = "envelope-truncated"
    """Shorter than the size class that it has to fill, or the length of no class."""
    OVERSIZED = "envelope-oversized"
    """Longer than the largest size class; or the body to be sealed does not fit into it."""
    MALFORMED = "envelope-malformed"
    """The bytes, the header or the padding are not in the one form that the format allows."""
    UNKNOWN_VERSION = "envelope-unknown-version"
    """A version of the format that is not understood here."""
    UNKNOWN_SUITE = "envelope-unknown-suite"
    """A suite that is not understood here, or not the suite of the key that is to open it."""
    UNSIGNED = "envelope-unsigned"
    """The signature field is empty (all zero)."""
    ALTERED = "envelope-altered"
    """The signature does not hold for these bytes under the key that the header names."""
    UNKNOWN_KEY = "envelope-unknown-key"
    """No key at hand, or none that its owner still opens with, is one that the header names."""
    UNOPENABLE = "envelope-unopenable"
    """Wrapped for the key at hand, and yet it does not open: the sender sealed it wrongly."""
    UNCOMMITTED = "envelope-uncommitted"
    """The content key is not the one that the sender committed to: different recipients could read different things."""
    NOT_FOR_US = "envelope-not-for-us"
    """Addressed to another organisation."""
    EXPIRED = "envelope-expired"
    """Its expiry has passed."""
    POSTDATED = "envelope-postdated"
    """It claims to have been sealed in the future, by more than clocks may differ and a day at most: it may wait."""
    MISDATED = "envelope-misdated"
    """It claims to have been sealed more than a day in the future: no clock that is merely ahead says so."""
    MISLABELLED = "envelope-mislabelled"
    """The ``ce-`` headers beside it do not say what the signed header says."""


class KeyCode(StrEnum):
    """Why a public key is refused at enrolment."""

    WRONG_LENGTH = "key-wrong-length"
    """Not as many bytes as a key of its kind has."""
    NON_CANONICAL = "key-non-canonical"
    """No key of its kind is written like this: a number not reduced, a stray bit, or no point of the curve."""
    LOW_ORDER = "key-low-order"
    """A point of small order: anybody can sign, or everybody gets the same secret."""


class KeyringCode(StrEnum):
    """Why a keyring does not open."""

    MISSING = "keyring-missing"
    """There is no such file."""
    UNREADABLE = "keyring-unreadable"
    """The file cannot be read by this user."""
    EXPOSED = "keyring-exposed"
    """Others than its owner may read or write the file: set its mode to 0600."""
    WRONG_PASSPHRASE = "keyring-wrong-passphrase"  # noqa: S105 - a code
    """The passphrase is not the one that it was written with."""
    DAMAGED = "keyring-damaged"
    """The file is not as it was written."""
    EXISTS = "keyring-exists"
    """There is a keyring already: making another would throw its keys away."""
    KEY_MISSING = "keyring-key-missing"
    """It holds no key for this purpose at this time."""


class DocumentCode(StrEnum):
    """Why a key document or an agreement is refused."""

    MALFORMED = "document-malformed"
    """Not a signed note of the right kind, in the one form that the format allows."""
    FORGED = "document-forged"
    """A signature under a pinned identity key is wrong."""
    UNSIGNED = "document-unsigned"
    """An identity key that had to sign did not."""
    KEY_REFUSED = "document-key-refused"
    """It publishes a key that enrolment refuses, or the same key twice."""
    SUPERSEDED = "document-superseded"
    """A newer key document of the same organisation has been seen: this one is kept out."""
    MISSING = "document-missing"
    """There is an agreement, but the partner's key document is not there."""


class DirectoryCode(StrEnum):
    """Why the directory has no answer."""

    ORGANISATION_UNKNOWN = "organisation-unknown"
    """No key document of this organisation, under an identity key that we pinned, is at hand."""
    AGREEMENT_NONE = "agreement-none"
    """There is no agreement between us, or it has not begun: what concludes can be said."""
    AGREEMENT_EXPIRED = "agreement-expired"
    """The agreement between us has ended: what concludes can be said, for some weeks."""
    KEY_UNKNOWN = "key-unknown"
    """The organisation has published no such key."""
    KEY_EXPIRED = "key-expired"
    """The key was published, but does not hold at this time."""
    TYPE_UNHEARD = "event-type-unheard"
    """The organisation's key document does not name this type among the events that it hears."""
    KEY_WRONG_PURPOSE = "key-wrong-purpose"
    """The key was published for something else."""
    OURSELVES_UNREADABLE = "organisation-unreadable"
    """Our own identity or key document is missing or refused: nothing can be trusted."""


class ReceiptCode(StrEnum):
    """Why a receipt is refused."""

    MALFORMED = "receipt-malformed"
    """Not a signed note with the seven lines of a receipt."""
    FORGED = "receipt-forged"
    """The signature under the recipient's receipt key is wrong."""
    UNVERIFIED = "receipt-unverified"
    """No key that the recipient had published for receipts at that time has signed it."""


class SealingError(Coded[StrEnum]):
    """Something sealed or signed is refused. Carries the code, and nothing of what was refused."""


class EnvelopeError(SealingError):
    """An envelope is refused; the code is an :class:`EnvelopeCode`."""


class KeyRefusedError(SealingError):
    """A public key is refused; the code is a :class:`KeyCode`."""


class KeyringError(SealingError):
    """A keyring does not open; the code is a :class:`KeyringCode`."""


class DocumentError(SealingError):
    """A key document or an agreement is refused; the code is a :class:`DocumentCode`."""


class DirectoryError(SealingError):
    """The directory has no answer; the code is a :class:`DirectoryCode`."""


class ReceiptError(SealingError):
    """A receipt is refused; the code is a :class:`ReceiptCode`."""
