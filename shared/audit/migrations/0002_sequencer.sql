-- Whoever numbers the log holds the one row of this table. An advisory lock could be held by every role of the database, and
-- the log would stay unsigned without a word.
CREATE TABLE audit_sequencer (
    one boolean PRIMARY KEY DEFAULT true CHECK (one)
);
INSERT INTO audit_sequencer DEFAULT VALUES;
-- What it takes to lock the row; there is no other value to give it.
GRANT SELECT, UPDATE ON audit_sequencer TO {role};
