"""``python -m app doctor``: checks everything that the service needs, one by one."""
