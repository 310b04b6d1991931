-- Who was told of what. No column has room for a word about anybody: random ids, closed lists, times, and the name that a member of
-- staff signs in with. Addresses stay in the staff book; words are found when somebody reads.

-- How far each member's own count has come. It only grows, also when old notifications go: event ids are never used twice.
CREATE TABLE reader (
    staff text PRIMARY KEY CHECK (staff ~ '^[a-z0-9]+([.-][a-z0-9]+)*$' AND length(staff) <= 40),
    last bigint NOT NULL CHECK (last > 0)
);
GRANT SELECT, INSERT, UPDATE ON reader TO {role};

CREATE TABLE notification (
    staff text NOT NULL REFERENCES reader,
    -- Its place in the member's own count, in the order of the commits: who has seen n has seen all before n.
    place bigint NOT NULL CHECK (place > 0),
    fact uuid NOT NULL,
    subject uuid NOT NULL,
    urgency text NOT NULL CHECK (urgency IN ('immediate', 'urgent', 'standard')),
    matter text NOT NULL CHECK (matter IN ('referral', 'report', 'parked')),
    at timestamptz NOT NULL,
    made_at timestamptz NOT NULL,
    read_at timestamptz,
    PRIMARY KEY (staff, place),
    -- Nobody is told twice of the same.
    UNIQUE (fact, staff)
);
CREATE INDEX notification_unread ON notification (staff, place) WHERE read_at IS NULL;
CREATE INDEX notification_read ON notification (read_at) WHERE read_at IS NOT NULL;
CREATE INDEX notification_made ON notification (made_at);
GRANT SELECT, INSERT, UPDATE (read_at), DELETE ON notification TO {role};

CREATE TABLE mail (
    -- Also its Message-ID: the same in every try.
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    staff text NOT NULL,
    place bigint NOT NULL,
    -- 0 is the most urgent.
    rank integer NOT NULL CHECK (rank BETWEEN 0 AND 2),
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'skipped', 'parked')),
    due_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    first_tried_at timestamptz,
    -- By the database's own clock: until then one process has it to itself.
    leased_until timestamptz,
    sent_at timestamptz,
    traceparent text CHECK (traceparent ~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$'),
    UNIQUE (staff, place),
    FOREIGN KEY (staff, place) REFERENCES notification ON DELETE CASCADE
);
CREATE INDEX mail_waiting ON mail (rank, due_at) WHERE state = 'waiting';
GRANT SELECT, INSERT, UPDATE, DELETE ON mail TO {role};
