"""How long receipts are kept: for as long as the envelope that each is for may still be taken.

Whoever brings that envelope again gets the same receipt. Once it has expired it is refused, and its sender seals anew
what is not proved. That it was here stands in the audit log.

What must never happen: a receipt goes while its envelope may still be taken.
"""

from datetime import timedelta
from typing import Final

KEEP_RECEIPTS: Final = timedelta(days=32)
"""After a receipt was given, by the database's own clock: a clock of ours that jumps ahead takes nothing along.

The longest life of an envelope, and a day for clocks that differ.
"""
