"""Residency: resolves and judges every hop, and bars those outside the allowed regions."""
