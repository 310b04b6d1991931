-- Of many parked messages their reader is mailed of one: which mails each had is walked backwards, from the newest.
-- squawk-ignore require-concurrent-index-creation -- the migrations of a version are one transaction
CREATE INDEX mail_tried ON mail (staff, first_tried_at) WHERE state IN ('sent', 'parked');
