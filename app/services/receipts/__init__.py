"""Receipts: signed statements of what was asked, done and answered."""
