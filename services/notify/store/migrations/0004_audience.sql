-- Who must know, by role: where the reader of a mail has left, others of their audience are told. Of the mails before this, which do
-- not say it, everybody who works on cases is.
-- squawk-ignore constraint-missing-not-valid -- a mail waits for hours, and the table is small
ALTER TABLE mail ADD COLUMN audience text NOT NULL DEFAULT 'assignee'
    CHECK (audience IN ('assignee', 'caseworkers', 'coordinator', 'operator'));
