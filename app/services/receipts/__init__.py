"""Receipts: signed statements of a request, its calls and its answer."""
