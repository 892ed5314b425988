"""The processes that decode, and their queue."""
