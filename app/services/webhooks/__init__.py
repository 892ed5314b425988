"""Webhooks: signing, delivery with retries, and the delivery log."""
