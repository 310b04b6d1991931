"""What every service of a node is told at its start, from ``RELAIS_*`` variables and from files of secrets.

The three services read the same environment whether they run in one process or in three; each takes only what is
named after it.
"""

from pathlib import Path
from typing import Literal, Self

from pydantic import AnyHttpUrl, Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.clock import Clock
from shared.contracts.ids import Organisation
from shared.contracts.personal import refuse_together


class NodeSettings(BaseSettings):
    """What the three services have in common."""

    model_config = SettingsConfigDict(
        env_prefix="RELAIS_",
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
        env_ignore_empty=True,
    )

    organisation: Organisation
    """Whose node this is, such as ``ccem-fr``."""
    folder: Path
    """The node's own folder: keyrings, ``partners/``, ``staff.json``."""
    env: Literal["production", "test"] = "production"
    clock_file: Path | None = None
    """A file with an offset in seconds, in tests only."""
    otlp_endpoint: str | None = None
    """Where spans go, over OTLP/HTTP, such as ``http://127.0.0.1:4318``; nowhere when absent."""
    trace_ratio: float = Field(default=1.0, ge=0.0, le=1.0)
    """The share of traces that is kept."""
    public_url: AnyHttpUrl = AnyHttpUrl("http://127.0.0.1/")
    """The node's address as staff see it; links in notifications begin with it."""

    @model_validator(mode="after")
    def _clock_moves_in_tests_only(self) -> Self:
        if self.clock_file is not None and self.env != "test":
            refuse_together("clock-file-in-tests-only", "clock_file", "env")
        return self

    def clock(self) -> Clock:
        """Return the clock of this node."""
        return Clock(self.clock_file)
