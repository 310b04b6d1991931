"""How the figures are shown: a few lines on the screen, and a page with charts that needs nothing but itself."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Final

from bench.contenders.parts import NAMES
from bench.receive import CONTENDERS, REACH_LIMIT, REACH_USUAL, Receive

SAYS: Final[Mapping[str, str]] = {
    "ours": "Relais: one transaction a batch",
    "usual": "the usual way: one transaction a message",
    "limit": "the limit: check, open and acknowledge, keep nothing",
}
COLOURS: Final[Mapping[str, str]] = {"ours": "#1f6f5c", "usual": "#b4632d", "limit": "#6b7280"}
WIDTH: Final = 640
ROW: Final = 34
LEFT: Final = 60

STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #1c1917 }
table { border-collapse: collapse } td, th { padding: .15rem .8rem .15rem 0; text-align: start }
td + td, th + th { text-align: end } svg text { font: 13px system-ui, sans-serif; fill: #1c1917 }
"""


def table(receive: Receive) -> str:
    """Return the figures as lines for the screen."""
    lines = [f"{'receive':<10}{'messages/s':>12}{'CPU µs':>10}{'ours is':>12}{'by CPU':>10}"]
    for name in CONTENDERS:
        against = "" if name == "ours" else f"{receive.against(name):10.2f} ×"
        cpu = "" if name == "ours" else f"{receive.cpu_against(name):8.2f} ×"
        lines.append(f"{name:<10}{receive.rate(name):12.0f}{receive.cpu(name):10.0f}{against:>12}{cpu:>10}")
    lines += ["", f"{'CPU µs a message':<28}" + "".join(f"{name:>8}" for name in CONTENDERS)]
    lines += [f"{part:<28}" + "".join(f"{cost:>8}" for cost in costs) for part, costs in _costs(receive)]
    return "\n".join(lines)


def render(receive: Receive, load: float) -> str:
    """Return the page, with the ``load`` of the machine when it was made."""
    head = "".join(f"<th>{name}</th>" for name in CONTENDERS)
    rows = "".join(
        f"<tr><td>{escape(part)}</td>{''.join(f'<td>{cost}</td>' for cost in costs)}</tr>"
        for part, costs in _costs(receive)
    )
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>What Relais costs</title><style>{STYLE}</style>
<h1>Receiving a message</h1>
<p>A sealed offer of 2 KB from the queue: verified, opened, decided, stored encrypted, audited, the fact for notify
confirmed, acknowledged. Messages a second on one core; the bar is the median, the marks are the {len(receive.rounds)}
rounds of {receive.messages} messages. Load of the machine: {load:.1f}.</p>
{_bars(receive)}
<p>Relais is {receive.against("usual"):.1f} times as fast as the usual way (at least {REACH_USUAL:g} is asked for) and
reaches {receive.against("limit"):.2f} of the limit (at least {REACH_LIMIT:g}).</p>
<h2>Where the time goes</h2>
<p>Microseconds of one processor a message, sampled in a round of its own.</p>
<table><tr><th></th>{head}</tr>{rows}</table>
</html>
"""


def _costs(receive: Receive) -> Iterator[tuple[str, list[str]]]:
    """Yield the parts that anybody spends time in, with what each contender spends."""
    for part in NAMES:
        costs = [receive.costs[name].get(part, 0.0) for name in CONTENDERS]
        if any(costs):
            yield part, [f"{cost:.0f}" if cost else "" for cost in costs]


def _bars(receive: Receive) -> str:
    rates = {name: [receive.messages / each[name].wall for each in receive.rounds] for name in CONTENDERS}
    scale = (WIDTH - LEFT - 80) / max(max(each) for each in rates.values())
    drawn = "".join(_bar(name, at * ROW, receive.rate(name), rates[name], scale) for at, name in enumerate(rates))
    height = ROW * len(rates)
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="Messages a second">{drawn}</svg>'


def _bar(name: str, top: int, rate: float, rounds: list[float], scale: float) -> str:
    marks = "".join(
        f'<circle cx="{LEFT + each * scale:.1f}" cy="{top + 13}" r="3" fill="#fff" stroke="#1c1917"/>'
        for each in rounds
    )
    end = LEFT + max(rate, *rounds) * scale + 10
    return (
        f'<text x="0" y="{top + 18}">{name}<title>{escape(SAYS[name])}</title></text>'
        f'<rect x="{LEFT}" y="{top + 2}" width="{rate * scale:.1f}" height="22" fill="{COLOURS[name]}"/>{marks}'
        f'<text x="{end:.1f}" y="{top + 18}">{rate:.0f}/s</text>'
    )
