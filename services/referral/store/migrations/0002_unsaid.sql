-- What was decided and cannot be said yet, because the partner has no key to seal to: each event encrypted under its folder's key.
CREATE TABLE unsaid (
    event uuid PRIMARY KEY,
    referral uuid NOT NULL,
    folder uuid NOT NULL,
    recipient text NOT NULL,
    n integer NOT NULL,
    at timestamptz NOT NULL,
    body bytea NOT NULL
);
CREATE INDEX unsaid_referral ON unsaid (referral, n);
CREATE INDEX unsaid_recipient ON unsaid (recipient, at);
GRANT SELECT, INSERT, DELETE ON unsaid TO {role};
