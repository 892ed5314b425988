"""Background work: the worker that leases items from the queue and runs their handlers."""
