"""Keys that receipts and audit heads are signed with."""
