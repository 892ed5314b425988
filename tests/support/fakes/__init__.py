"""Fakes of the domain's ports, and decoders that fail."""
