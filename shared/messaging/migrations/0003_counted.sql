-- Of some messages size and digest are kept and not the body: then size is set. Those that nobody signed, or of which one
-- origin has too many, are counted: one row for an origin and a reason, with the last of them.
ALTER TABLE held
    ADD COLUMN origin text NOT NULL DEFAULT '',
    ADD COLUMN size bigint,
    ADD COLUMN digest bytea,
    ADD COLUMN count bigint NOT NULL DEFAULT 1,
    ADD COLUMN last_at timestamptz,
    ADD COLUMN told_at timestamptz;
