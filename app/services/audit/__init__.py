"""The audit log: one record a call and a change, in a Merkle tree with signed heads."""
