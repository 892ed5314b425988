"""Programs that tests run, and the report of those that are missing."""
