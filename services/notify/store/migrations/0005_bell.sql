-- What makes the mark by which the bell names a member. Every role of the database may listen to it: without the secret the mark
-- tells nobody who has something new.
CREATE TABLE bell (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    secret bytea NOT NULL CHECK (octet_length(secret) = 32)
);
INSERT INTO bell (secret) VALUES (decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'));
GRANT SELECT ON bell TO {role};
