"""Encryption of what is kept, behind `DataCipher`."""
