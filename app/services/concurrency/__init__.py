"""Queues, budgets, deadlines and shared work: what bounds requests in progress."""
