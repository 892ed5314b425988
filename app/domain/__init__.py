"""The vocabulary of the service. Standard library only."""
