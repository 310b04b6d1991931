-- The order in which documents were written down: two clocks may disagree on which is the newer one, and this cannot.
-- squawk-ignore adding-field-with-default -- a rewrite is wanted: it numbers what is there
ALTER TABLE paper ADD COLUMN place bigint GENERATED ALWAYS AS IDENTITY;
