-- Which report an idempotency key stands for is kept for as long as a client may repeat it.
GRANT DELETE ON report TO {role};
