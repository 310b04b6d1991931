"""The ``relais`` command: one file for each group of commands, put together here."""

from cyclopts import App

from deploy.cli import audit, demo, parked, updown
from deploy.cli.console import answering

app = App(name="relais", help="Hand a person over between organisations, safely and provably.")
app.command(demo.demo, name="demo")
app.command(updown.up, name="up")
app.command(updown.down, name="down")
app.command(audit.app)
app.command(parked.app)


def main() -> None:
    """Run the command that was asked for, and exit with its code."""
    with answering(as_json=False):
        app()
