"""`/v1/tasks/…`: the vision tasks as typed endpoints."""
