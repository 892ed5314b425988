"""The bodies of inference calls, read into one question and written from one answer."""
