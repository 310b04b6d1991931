"""The batch shell: inbox, outbox, parking, replay."""
