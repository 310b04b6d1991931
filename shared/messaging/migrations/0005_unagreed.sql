-- What waits for an agreement does not wait for the broker: it is told apart, and "at" begins anew when it may leave.
ALTER TABLE outbox ADD COLUMN unagreed boolean NOT NULL DEFAULT false;
