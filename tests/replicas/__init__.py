"""Several processes of the service with shared stores, behind a real nginx."""
