-- The audit log of one service. The service's role may add and read, and change nothing.
--
-- A leaf is written in the transaction that makes the change it is about. Its id comes from a counter, so that leaves of one
-- transaction keep their order; ids of different transactions say nothing about who committed first.
CREATE TABLE audit_leaf (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    commitment bytea NOT NULL CHECK (octet_length(commitment) = 32),
    -- Under whose key the content is encrypted; the content of a leaf without a case is in clear.
    case_id uuid,
    -- 32 random bytes and the entry.
    content bytea NOT NULL
);
GRANT SELECT, INSERT ON audit_leaf TO {role};

-- Leaves that have no position yet: a queue that the sequencer empties. A watermark on ids or transaction numbers would pass
-- over a transaction that commits late, and would be wrong after a restore.
CREATE TABLE audit_pending (
    leaf_id bigint PRIMARY KEY
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 0);
GRANT SELECT, INSERT, DELETE ON audit_pending TO {role};

-- Where each leaf stands in the tree: 0, 1, 2 … without a gap. No foreign key: it would lock, and so rewrite, every leaf once
-- more; a position without its leaf is found by verification.
CREATE TABLE audit_position (
    position bigint PRIMARY KEY CHECK (position >= 0),
    leaf_id bigint NOT NULL UNIQUE
);
GRANT SELECT, INSERT ON audit_position TO {role};

-- The signed states of the log. The newest one holds all that the sequencer needs to go on.
CREATE TABLE audit_checkpoint (
    size bigint PRIMARY KEY CHECK (size > 0),
    -- The checkpoint as a signed note (c2sp.org/tlog-checkpoint).
    note text NOT NULL,
    -- The roots of the full subtrees, largest first, 32 bytes each.
    peaks bytea NOT NULL,
    at timestamptz NOT NULL
);
GRANT SELECT, INSERT ON audit_checkpoint TO {role};

-- Also who owns the tables changes nothing by mistake. ENABLE ALWAYS: replication mode does not switch them off.
CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit-append-only' USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_leaf
FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
ALTER TABLE audit_leaf ENABLE ALWAYS TRIGGER audit_append_only;

CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_position
FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
ALTER TABLE audit_position ENABLE ALWAYS TRIGGER audit_append_only;

CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_checkpoint
FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
ALTER TABLE audit_checkpoint ENABLE ALWAYS TRIGGER audit_append_only;
