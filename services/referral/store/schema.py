"""Where the service's tables are: one schema of its own, and the folder of its migrations."""

from pathlib import Path
from typing import Final

SCHEMA: Final = "referral"
MIGRATIONS: Final = Path(__file__).parent / "migrations"
