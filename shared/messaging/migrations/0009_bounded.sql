-- Of what there is a bound is told apart from what is kept in any number, and alone takes room. What was held before takes
-- none.
ALTER TABLE held ADD COLUMN bounded boolean NOT NULL DEFAULT false;
-- squawk-ignore require-concurrent-index-deletion -- the migrations of a version are one transaction
DROP INDEX held_whole;
-- squawk-ignore require-concurrent-index-deletion -- likewise
DROP INDEX held_waiting;
-- squawk-ignore require-concurrent-index-creation -- likewise
CREATE INDEX held_bounded ON held (consumer, origin) WHERE bounded;
