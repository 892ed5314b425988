"""Files that callers upload, and those that batches write."""
