"""Residency: every hop is resolved, judged, and kept out of the way where it is outside."""
