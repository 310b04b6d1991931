-- The desk's store. Clear columns hold codes, ids and times; everything personal is in a body, encrypted under its folder's key.

-- A key for everything that belongs together and is erased together: a case, or a report that is no case yet.
CREATE TABLE folder (
    id uuid PRIMARY KEY,
    epoch integer NOT NULL,
    wrapped bytea NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON folder TO {role};

CREATE TABLE case_file (
    id uuid PRIMARY KEY REFERENCES folder (id),
    opened_at timestamptz NOT NULL,
    opened_by text NOT NULL,
    opened_for uuid
);
GRANT SELECT, INSERT, UPDATE ON case_file TO {role};  -- UPDATE lets a row be locked

CREATE TABLE report (
    id uuid PRIMARY KEY,
    folder uuid NOT NULL,
    urgency text NOT NULL,
    verdict text NOT NULL,
    taken_at timestamptz NOT NULL,
    status text NOT NULL,
    case_id uuid,
    reoriented_to text,
    version integer NOT NULL
);
CREATE INDEX report_status ON report (status, taken_at);
GRANT SELECT, INSERT, UPDATE ON report TO {role};

-- An organisation's own copy of a referral. Its course (both lanes) is what counts; status, responsible, overdue, due_at, offered_at and ended_at are for searching.
CREATE TABLE referral (
    id uuid PRIMARY KEY,
    conversation uuid NOT NULL,
    case_id uuid NOT NULL,
    side text NOT NULL,
    partner text NOT NULL,
    kind text NOT NULL,
    urgency text NOT NULL,
    status text NOT NULL,
    responsible text NOT NULL,
    assignee text,
    overdue boolean NOT NULL,
    due_at timestamptz,
    offered_at timestamptz NOT NULL,
    ended_at timestamptz,
    receipt_at timestamptz,
    course text NOT NULL,
    version integer NOT NULL
);
CREATE INDEX referral_conversation ON referral (conversation);
CREATE INDEX referral_case ON referral (case_id);
CREATE INDEX referral_due ON referral (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX referral_offered ON referral (offered_at DESC, id);
CREATE INDEX referral_status ON referral (status, offered_at DESC, id);
GRANT SELECT, INSERT, UPDATE ON referral TO {role};

-- Personal documents: a category of a packet, a question, a meeting. A newer one stands beside the older one, never over it.
CREATE TABLE paper (
    id uuid PRIMARY KEY,
    folder uuid NOT NULL,
    about uuid NOT NULL,
    name text NOT NULL,
    side text,
    n integer NOT NULL,
    at timestamptz NOT NULL,
    body bytea NOT NULL
);
CREATE INDEX paper_folder ON paper (folder, name, at DESC);
CREATE INDEX paper_about ON paper (about);
GRANT SELECT, INSERT, DELETE ON paper TO {role};

-- What a person has allowed. Never changed but to mark that it was taken back.
CREATE TABLE consent (
    id uuid PRIMARY KEY,
    case_id uuid NOT NULL,
    withdrawn_at timestamptz,
    body bytea NOT NULL
);
CREATE INDEX consent_case ON consent (case_id);
GRANT SELECT, INSERT, UPDATE ON consent TO {role};

-- Which message said what, so that its receipt can be told apart from any other.
CREATE TABLE said (
    message uuid PRIMARY KEY,
    referral uuid NOT NULL,
    n integer NOT NULL,
    recipient text NOT NULL,
    digest bytea NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX said_referral ON said (referral);
GRANT SELECT, INSERT ON said TO {role};

-- The proof that a partner holds a message of ours.
CREATE TABLE proof (
    message uuid PRIMARY KEY,
    note text NOT NULL,
    at timestamptz NOT NULL
);
GRANT SELECT, INSERT ON proof TO {role};
