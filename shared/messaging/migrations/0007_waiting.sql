-- Of each origin it is asked how much waits that the inbox has not taken in: where there is a bound, the rest is counted.
-- squawk-ignore require-concurrent-index-creation -- the migrations of a version are one transaction
CREATE INDEX held_waiting ON held (consumer, origin) WHERE due_at IS NOT NULL AND NOT admitted;
