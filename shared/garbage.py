"""How Python looks for garbage in a process that has started and is at work.

What the start has made stays until the end: it is set aside, so that no collection goes through it again. What a batch
makes dies by itself, by its counts of references; with Python's own threshold of 700 new values the collector would go
through it several times while it is still needed, for 3 % of the time of a message (``make bench``).
"""

import gc
from typing import Final

NEW_VALUES: Final = 20_000
"""How many values may be made and not yet gone before the youngest are looked through; a batch makes about as many."""

YOUNGER_FIRST: Final = 20
"""How often those are looked through before the next older ones are."""


def settle() -> None:
    """Set aside what there is, and look for garbage less often from now on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_VALUES, YOUNGER_FIRST, YOUNGER_FIRST)
