"""Encryption of kept data, behind `DataCipher`."""
