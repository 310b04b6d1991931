-- Who writes waits while the rows are filled, who reads does not: a default at once would have rewritten the table behind a lock.
UPDATE referral SET alias = gen_random_uuid() WHERE alias IS NULL;
UPDATE case_file SET opened_for = referral.alias
FROM referral WHERE referral.id = case_file.opened_for AND referral.case_id = case_file.id;
-- squawk-ignore adding-not-nullable-field -- one look at each row, which a constraint beforehand would take as well
ALTER TABLE referral ALTER COLUMN alias SET NOT NULL;
