"""The service's own dialect, under /v1."""
