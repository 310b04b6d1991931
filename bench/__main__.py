"""``python -m bench``: what Relais costs, side by side with the usual way and with the limit."""

import argparse
import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from bench import page
from bench.receive import REACH_LIMIT, REACH_USUAL, measure
from bench.site import site
from deploy.local.errors import LocalError
from deploy.local.progress import on_screen

BUILD = Path("build")


def main() -> int:
    """Measure, say it, write it down; 1 when ours is not as fast as it must be."""
    asked = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    asked.add_argument("--messages", type=int, default=3_000)
    asked.add_argument("--rounds", type=int, default=5)
    given = asked.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    try:
        with TemporaryDirectory(prefix="relais-bench-") as folder:
            leave_one_core(cores)
            with site(Path(folder), given.messages, on_screen) as ground:
                os.sched_setaffinity(0, cores[-1:])
                receive = uvloop.run(measure(ground, given.rounds, on_screen))
    except LocalError as error:
        print(error, file=sys.stderr)
        return 1
    load = os.getloadavg()[0]
    print(page.table(receive))
    print(f"cores: {len(cores)}, ours on one of them; load {load:.1f}")
    BUILD.mkdir(exist_ok=True)
    (BUILD / "bench.json").write_text(json.dumps({"receive": receive.as_json()}, indent=2) + "\n")
    (BUILD / "bench.html").write_text(page.render(receive, load))
    print(f"wrote {BUILD}/bench.json and {BUILD}/bench.html")
    if not receive.reached:
        print(f"too slow: at least {REACH_USUAL:g} × the usual way and {REACH_LIMIT:g} of the limit is asked for")
    return 0 if receive.reached else 1


def leave_one_core(cores: list[int]) -> None:
    """Keep what is started from now on, the servers, off the core that the contenders get, where there is another."""
    os.sched_setaffinity(0, cores[:-1] or cores)


if __name__ == "__main__":
    sys.exit(main())
