"""Encryption of stored data, behind `DataCipher`."""
