"""Where the service's tables are: one schema of its own, and the folder of its migrations."""

from pathlib import Path
from typing import Final

from shared.contracts.services import Service

SCHEMA: Final = Service.INTAKE.value
MIGRATIONS: Final = Path(__file__).parent / "migrations"
