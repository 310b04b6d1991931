"""How long notifications are kept: those that were read, or handed on, for there are others to be looked at.

They point to what is kept elsewhere, and old ones only tell who did what when: the audit log keeps that, for as long as
its own rules say. What must never happen: one goes that nobody has read or handed on, or whose mail is still to go out.
"""

from datetime import timedelta
from typing import Final

KEEP_READ: Final = timedelta(days=30)
"""By the database's own clock, as leases are: a clock of ours that jumps ahead takes nothing along."""
