"""Long work: what takes items off the queue and has them done."""
