-- The oldest are found for it beside any number of receipts.
CREATE INDEX CONCURRENTLY IF NOT EXISTS receipt_at ON receipt (at);
