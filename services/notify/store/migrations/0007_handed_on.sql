-- When others were told in the place of a reader who has not read it. Of whoever has left, it goes then as what was read does.
ALTER TABLE notification ADD COLUMN handed_on_at timestamptz;
GRANT UPDATE (handed_on_at) ON notification TO {role};
-- squawk-ignore require-concurrent-index-creation -- the migrations of a version are one transaction
CREATE INDEX notification_handed_on ON notification (handed_on_at) WHERE handed_on_at IS NOT NULL;
