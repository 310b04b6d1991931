-- What nobody has read is never deleted, so that nothing looks for what was made long ago.
-- squawk-ignore require-concurrent-index-deletion -- the migrations of a version are one transaction
DROP INDEX notification_made;
