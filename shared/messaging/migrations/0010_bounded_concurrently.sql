CREATE INDEX CONCURRENTLY IF NOT EXISTS held_bounded ON held (consumer, origin) WHERE bounded;
