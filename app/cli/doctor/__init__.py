"""``python -m app doctor``: everything that the service needs, looked at one by one."""
