-- Room is counted by what is bounded, and by no other index.
DROP INDEX CONCURRENTLY IF EXISTS held_whole;
