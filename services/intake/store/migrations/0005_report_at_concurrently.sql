-- The oldest are found for it beside any number of keys.
CREATE INDEX CONCURRENTLY IF NOT EXISTS report_at ON report (at);
