"""Fakes, pictures and servers that the tests share."""
