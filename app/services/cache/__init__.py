"""The answer cache: keys, entries, and what keeps them."""
