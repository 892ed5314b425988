"""Webhooks: signed, delivered, tried again, and shown."""
