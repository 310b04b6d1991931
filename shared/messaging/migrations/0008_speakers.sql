-- Each service has an exchange of its own on the node, called after it; what waits for the one that they shared goes there.
UPDATE outbox SET exchange = 'from.' || current_schema() WHERE broker = 'node' AND exchange = 'node';
