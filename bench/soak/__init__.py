"""The service under strain: for long, with too much, by hostile callers."""
