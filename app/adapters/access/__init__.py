"""The stored keys, and the issuers of trusted tokens."""
