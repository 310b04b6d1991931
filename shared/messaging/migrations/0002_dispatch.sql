-- How many envelopes this service has sealed for each recipient: the sequence number of the last one.
CREATE TABLE dispatch (
    recipient text PRIMARY KEY,
    last bigint NOT NULL CHECK (last > 0)
);
GRANT SELECT, INSERT, UPDATE ON dispatch TO {role};
