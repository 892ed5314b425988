"""The servers that the service talks to: real programs, and stand-ins for the rest."""
