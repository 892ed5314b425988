"""Senders of webhooks: over the guarded transport, or none."""
