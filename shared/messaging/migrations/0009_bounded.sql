-- Of what there is a bound is told apart from what is kept in any number, and alone takes room. What was held before takes
-- none.
ALTER TABLE held ADD COLUMN bounded boolean NOT NULL DEFAULT false;
