-- When the mail server first refused a mail for our sake, as far as it says: it is held until the server takes mail from us again.
ALTER TABLE mail ADD COLUMN barred_at timestamptz;
