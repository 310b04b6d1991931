-- Whatever is not proved to have come is said again, put together from its lane and its papers: no copy of it is kept.
-- squawk-ignore ban-drop-table -- it holds nothing that the lane and the papers do not hold
DROP TABLE unsaid;
-- When something of ours about the referral is said next.
ALTER TABLE referral ADD COLUMN repeat_at timestamptz;
UPDATE referral SET repeat_at = offered_at WHERE course::jsonb -> 'unproved' <> '[]';
-- squawk-ignore require-concurrent-index-creation -- the migrations of a version are one transaction
CREATE INDEX referral_repeat ON referral (repeat_at) WHERE repeat_at IS NOT NULL;
