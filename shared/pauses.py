"""How long a loop waits before it tries again: longer each time, and never in step with the others."""

import random
from typing import Final

from shared.growing import doubling

LONGEST_PAUSE_SECONDS: Final = 10.0


def pause(attempt: int, *, first: float = 0.2, longest: float = LONGEST_PAUSE_SECONDS) -> float:
    """Return how many seconds to wait before try number ``attempt`` (from 1): doubling, capped, half of it random.

    The jitter keeps a hundred consumers from coming back in step (AWS, "Exponential backoff and jitter", 2015).
    """
    return doubling(attempt, first, longest) * (0.5 + random.random() / 2)  # noqa: S311 - spreads load, protects nothing
