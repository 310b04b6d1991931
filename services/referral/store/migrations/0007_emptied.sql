-- Whether a message was sealed in the place of one whose words may not leave any more: it is emptied once.
ALTER TABLE said ADD COLUMN emptied boolean NOT NULL DEFAULT false;
