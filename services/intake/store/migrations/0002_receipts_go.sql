-- A receipt is kept for as long as its envelope may be taken.
GRANT DELETE ON receipt TO {role};
