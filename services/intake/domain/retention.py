"""How long intake keeps what it would answer again with: for as long as whoever asked may come again for it.

A receipt is kept for as long as its envelope may be taken: whoever brings that again gets the same one. Once it has
expired it is refused, and its sender seals anew what is not proved. Which report an idempotency key stands for is kept
as long; after that the key is refused. That either was here stands in the inbox and in the audit log.

What must never happen: a receipt goes while its envelope may still be taken; a report is answered for that nobody took.
"""

from datetime import timedelta
from typing import Final

KEEP_RECEIPTS: Final = timedelta(days=32)
"""After a receipt was given, by the database's own clock: a clock of ours that jumps ahead takes nothing along.

The longest life of an envelope, and a day for clocks that differ.
"""

KEEP_REPORT_KEYS: Final = timedelta(days=32)
"""After a report was taken under a key, by the same clock: far longer than a program tries one report again."""
