-- What waits for its turn has its number: when that comes, it is tried, and not what stands behind a gap. 0: at each change.
ALTER TABLE held ADD COLUMN turn integer NOT NULL DEFAULT 0;
-- squawk-ignore require-concurrent-index-deletion -- the migrations of a version are one transaction
DROP INDEX held_subject;
-- squawk-ignore require-concurrent-index-creation -- likewise
CREATE INDEX held_turn ON held (subject, turn) WHERE subject IS NOT NULL;
-- What waits for keys or agreements is woken for them, beside any number of messages that do not.
-- squawk-ignore require-concurrent-index-creation -- likewise
CREATE INDEX held_reason ON held (consumer, reason) WHERE size IS NULL;
