-- What is parked is listed and counted, and of each origin it is asked how much of it is kept whole, beside any number of
-- messages that wait.
-- squawk-ignore require-concurrent-index-creation -- the migrations of a version are one transaction
CREATE INDEX held_parked ON held (first_at, id) WHERE due_at IS NULL;
-- squawk-ignore require-concurrent-index-creation -- the migrations of a version are one transaction
CREATE INDEX held_whole ON held (consumer, origin) WHERE due_at IS NULL AND size IS NULL;
