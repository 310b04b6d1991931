"""Which service of which organisation is at work: one process may run all three services of a node side by side.

Each service enters its scope in the task that starts it; tasks that it makes inherit it, so that spans and log lines
carry the right name without anything being handed around. Nothing but these two names may ever be kept here.
"""

from contextvars import ContextVar
from typing import Final

from shared.contracts.ids import OrganisationId
from shared.values import dataclass


@dataclass(frozen=True, slots=True)
class Scope:
    """A service and the organisation whose node it belongs to."""

    service: str
    """``intake``, ``referral`` or ``notify``; a tool has a name of its own."""
    organisation: OrganisationId


_current: Final[ContextVar[Scope | None]] = ContextVar("relais_telemetry_scope", default=None)


def enter(scope: Scope) -> None:
    """Make ``scope`` the one at work, for this task and for the tasks that it makes from now on."""
    _current.set(scope)


def leave() -> None:
    """Go back to no scope, for this task and for the tasks that it makes from now on."""
    _current.set(None)


def current() -> Scope | None:
    """Return the scope at work, if a service has entered one."""
    return _current.get()
