"""The answer cache: keys, entries, and their store."""
