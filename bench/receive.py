"""The measure ``receive``: messages a second that one core takes in, with every step that makes them safe.

From the queue: verified, opened, decided, stored encrypted, audited, the fact for notify confirmed, acknowledged. Ours
against the usual way and against the limit, the same offers for each, in turns: A B C A B C. A machine is noisy, and
what counts is the ratio inside a round.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from bench.contenders import limit, ours, usual
from bench.contenders.parts import NAMES
from bench.contenders.stopwatch import Sampler, Stopwatch, Took
from bench.site import Site
from deploy.local.progress import Progress
from shared import garbage


@dataclass(frozen=True, slots=True)
class Contender:
    """Who takes part."""

    run: Callable[[Site, Stopwatch], Awaitable[Took]]
    keeps: bool = True
    """Whether it keeps and tells anything."""


CONTENDERS: Final[Mapping[str, Contender]] = {
    "ours": Contender(ours.run),
    "usual": Contender(usual.run),
    "limit": Contender(limit.run, keeps=False),
}

REACH_USUAL: Final = 4.0
REACH_LIMIT: Final = 0.7
MICRO: Final = 1e6


@dataclass(frozen=True, slots=True)
class Receive:
    """What was measured."""

    messages: int
    rounds: Sequence[Mapping[str, Took]]
    costs: Mapping[str, Mapping[str, float]]
    """For each contender the microseconds of our own processor a message in each part, from one sampled round."""

    def rate(self, name: str) -> float:
        """Messages a second: the median of all rounds."""
        return median(self.messages / each[name].wall for each in self.rounds)

    def cpu(self, name: str) -> float:
        """Microseconds of our own processor a message: the median of all rounds."""
        return median(each[name].cpu / self.messages * MICRO for each in self.rounds)

    def against(self, peer: str) -> float:
        """How many times as fast as ``peer`` ours is: the median of the ratios of each round."""
        return median(each[peer].wall / each["ours"].wall for each in self.rounds)

    def cpu_against(self, peer: str) -> float:
        """The same by our own processor's time, for information: it leaves out who waits for a server."""
        return median(each[peer].cpu / each["ours"].cpu for each in self.rounds)

    @property
    def reached(self) -> bool:
        """Whether ours is as fast as it must be."""
        return self.against("usual") >= REACH_USUAL and self.against("limit") >= REACH_LIMIT

    def as_json(self) -> dict[str, Any]:
        """Return what ``build/bench.json`` says."""
        return {
            **{name: round(self.rate(name), 1) for name in CONTENDERS},
            "vs_usual": round(self.against("usual"), 3),
            "vs_limit": round(self.against("limit"), 3),
            "rounds": len(self.rounds),
            "messages": self.messages,
            "per_round": [
                {name: round(self.messages / took.wall, 1) for name, took in each.items()} for each in self.rounds
            ],
            "cpu_us": {name: round(self.cpu(name), 1) for name in CONTENDERS},
            "cpu_vs_usual": round(self.cpu_against("usual"), 3),
            "cpu_vs_limit": round(self.cpu_against("limit"), 3),
            "costs_us": {
                name: {part: round(cost, 1) for part, cost in parts.items()} for name, parts in self.costs.items()
            },
        }


async def measure(site: Site, rounds: int, progress: Progress) -> Receive:
    """Let the contenders take every offer of ``site`` in turns: once for nothing, ``rounds`` times, once sampled.

    Raises:
        CheatError: a contender did not do its work.
    """
    garbage.settle()
    took: list[dict[str, Took]] = []
    for number in range(rounds + 1):
        took.append({name: await once(site, contender) for name, contender in CONTENDERS.items()})
        rates = "  ".join(f"{name} {len(site.offers) / each.wall:.0f}/s" for name, each in took[-1].items())
        progress(f"{f'round {number} of {rounds}' if number else 'warming up'}: {rates}")
    costs = {name: await _costs(site, contender) for name, contender in CONTENDERS.items()}
    return Receive(len(site.offers), took[1:], costs)


class CheatError(Exception):
    """A contender did not do the work that it was timed for."""


async def once(site: Site, contender: Contender, watch: Stopwatch | None = None) -> Took:
    """Let one contender take every offer, and count what it has done.

    Raises:
        CheatError: not one referral and one fact for every offer, or a letter is left.
    """
    await site.begin()
    took = await contender.run(site, watch or Stopwatch())
    rows = await site.rows()
    done = (rows["referral"], await site.take_told(), rows["outbox"])
    if done != (contender.keeps * len(site.offers), contender.keeps * len(site.offers), 0):
        message = f"referrals, facts, letters left: {done} for {len(site.offers)} offers"
        raise CheatError(message)
    return took


async def _costs(site: Site, contender: Contender) -> Mapping[str, float]:
    """Return the microseconds of our own processor that a message takes in each part."""
    sampler = Sampler()
    took = await once(site, contender, sampler)
    tick = took.cpu / max(sampler.seen.total(), 1) / len(site.offers) * MICRO
    return {part: sampler.seen[part] * tick for part in NAMES if sampler.seen[part]}
