-- What the door keeps. Sealed bytes pass through the shell's outbox and parking lot; here are receipts and ids.

-- The receipt that a message was given, by the message's name in the inbox: whoever asks again gets the same one.
CREATE TABLE receipt (
    message uuid PRIMARY KEY,
    event uuid NOT NULL,
    at timestamptz NOT NULL,
    note text NOT NULL
);
GRANT SELECT, INSERT ON receipt TO {role};

-- What one organisation says to us with one voice, and up to which number all has come or is known to be missing.
CREATE TABLE stream (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    sender text NOT NULL,
    voice text NOT NULL,
    reached bigint NOT NULL DEFAULT 0,
    UNIQUE (sender, voice)
);
GRANT SELECT, INSERT, UPDATE ON stream TO {role};

-- Numbers that have come since the last look at their stream.
CREATE TABLE arrival (
    message uuid PRIMARY KEY,
    sender text NOT NULL,
    voice text NOT NULL,
    sequence bigint NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX arrival_sequence ON arrival (sender, voice, sequence);
GRANT SELECT, INSERT, DELETE ON arrival TO {role};

-- Which report an idempotency key stands for. What the report said, and what was found in it, is not kept here.
CREATE TABLE report (
    key uuid PRIMARY KEY,
    report uuid NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT ON report TO {role};
