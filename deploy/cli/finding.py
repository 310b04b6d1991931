"""Which node a command is about: the one that the environment names, or one that ``relais up`` runs here."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from deploy.cli.console import CliCode, CliError
from deploy.compose.launch import read_environment
from deploy.local.network import ENVIRONMENT_FILE
from deploy.local.supervisor import STATE
from shared.clock import Clock

ORGANISATION: Final = "RELAIS_ORGANISATION"


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Where:
    """What every command about a node takes."""

    org: str | None = None
    """The organisation, such as ccem-fr; not needed where there is only one."""
    folder: Path = STATE
    """Where the nodes are that `relais up` runs."""
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False
    """Answer for a program."""

    def environment(self) -> Mapping[str, str]:
        """Return the variables that say where the node is.

        Raises:
            CliError: ``node-not-found``.
        """
        named = os.environ.get(ORGANISATION)
        if named and self.org in (None, named):
            return os.environ
        found = {path.parent.name: path for path in sorted(self.folder.glob(f"*/{ENVIRONMENT_FILE}"))}
        if self.org in found:
            return read_environment(found[self.org])
        if self.org is None and len(found) == 1:
            return read_environment(*found.values())
        known = f"--org is one of {', '.join(found)}" if found else f"no node runs in {self.folder}"
        raise CliError(CliCode.NODE_NOT_FOUND, f"{known}; or set {ORGANISATION} and what belongs to it")

    def clock(self) -> Clock:
        """Return the node's clock: the machine's, but in tests.

        Raises:
            CliError: ``node-not-found``.
        """
        environment = self.environment()
        moved = environment.get("RELAIS_CLOCK_FILE") if environment.get("RELAIS_ENV") == "test" else None
        return Clock(Path(moved) if moved else None)


HERE: Final = Where()
