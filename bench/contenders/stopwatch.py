"""What a run took: by the clock on the wall, and of the processor; and, where it is asked for, in which part."""

import gc
import signal
from collections import Counter
from dataclasses import dataclass
from time import perf_counter, process_time
from types import FrameType
from typing import Final

from bench.contenders.parts import part_of

EVERY_SECONDS: Final = 0.001


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds."""

    wall: float
    cpu: float
    """Of this process alone: the servers' work is not in it."""


class Stopwatch:
    """Measures one run."""

    def __init__(self) -> None:
        self._wall = self._cpu = 0.0

    def start(self) -> None:
        """Collect garbage, so that nobody pays for what came before, and start."""
        gc.collect()
        self._wall, self._cpu = perf_counter(), process_time()

    def stop(self) -> Took:
        """Return what it took."""
        return Took(perf_counter() - self._wall, process_time() - self._cpu)


class Sampler(Stopwatch):
    """Looks a thousand times in a second of processor time where the program is, and counts the parts."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def start(self) -> None:
        """Start looking."""
        super().start()
        signal.signal(signal.SIGPROF, self._look)
        signal.setitimer(signal.ITIMER_PROF, EVERY_SECONDS, EVERY_SECONDS)

    def stop(self) -> Took:
        """Stop looking, and return what it took."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        return super().stop()

    def _look(self, _number: int, frame: FrameType | None) -> None:
        self.seen[part_of(frame)] += 1
