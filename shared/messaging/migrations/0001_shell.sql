-- The batch shell's own tables, in every service's schema.

-- What has been taken in, for ever: an operator may replay a message a year later.
CREATE TABLE inbox (
    id uuid PRIMARY KEY,
    digest bytea NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT ON inbox TO {role};

-- What is decided and not yet confirmed by the broker. A sweeper takes what is overdue.
CREATE TABLE outbox (
    id uuid PRIMARY KEY,
    place bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL DEFAULT now(),
    due_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    broker text NOT NULL,
    exchange text NOT NULL,
    routing_key text NOT NULL,
    headers text NOT NULL,
    content_type text NOT NULL,
    body bytea NOT NULL
);
CREATE INDEX outbox_due ON outbox (due_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON outbox TO {role};

-- What waits: for its time (due_at set), or for a person (due_at null: parked).
CREATE TABLE held (
    id uuid PRIMARY KEY,
    consumer text NOT NULL,
    source text NOT NULL,
    reason text NOT NULL,
    attempts integer NOT NULL,
    first_at timestamptz NOT NULL,
    due_at timestamptz,
    subject uuid,
    admitted boolean NOT NULL,
    headers text NOT NULL,
    body bytea NOT NULL
);
CREATE INDEX held_due ON held (consumer, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX held_subject ON held (subject) WHERE subject IS NOT NULL;
GRANT SELECT, INSERT, UPDATE, DELETE ON held TO {role};
