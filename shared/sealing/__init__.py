"""The envelope, keys, key documents, agreements and receipts."""
