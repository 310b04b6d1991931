-- What our own people call a referral: random, unlike the id, which the partner has too and may have chosen. The release before writes none.
ALTER TABLE referral ADD COLUMN alias uuid;
ALTER TABLE referral ALTER COLUMN alias SET DEFAULT gen_random_uuid();
