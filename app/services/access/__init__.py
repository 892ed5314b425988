"""Authentication and limits of callers."""
