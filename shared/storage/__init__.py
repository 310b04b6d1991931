"""Pool, migrations and encryption at rest."""
