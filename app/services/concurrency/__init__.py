"""Queues, budgets, deadlines and shared work, which bound requests in progress."""
