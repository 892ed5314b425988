"""Set a machine up: environments, servers, a browser. Standard library only."""
