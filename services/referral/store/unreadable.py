"""What is kept and cannot be opened: altered, or written in a form that no model reads any more.

It counts as not there, so that nothing else waits for it: consent is taken back beside it, and what is said again goes
without its words. Whoever runs the node is told, because a copy of the database may still have it whole.

What must never happen: its content, or an error that holds some of it, is told.
"""

from collections.abc import Callable
from typing import Final, TypeVar
from uuid import UUID

from shared.messaging import places
from shared.storage.vault import VaultError
from shared.telemetry import metrics
from shared.telemetry.logs import get_logger

Content = TypeVar("Content")

MALFORMED: Final = "document-malformed"
"""It was opened, and its model does not read it."""

log = get_logger(__name__)


def if_readable(id_: UUID, read: Callable[[], Content]) -> Content | None:
    """Return what ``read`` gives of the document ``id_``; ``None`` where it cannot be opened, and say so."""
    try:
        return read()
    except VaultError as error:
        code = error.code
    except (ValueError, LookupError):
        code = MALFORMED
    log.error("document.unreadable", subject=id_, code=code)
    metrics.UNREADABLE.add(service=places.REFERRAL)
    return None
