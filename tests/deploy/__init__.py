"""What deploys the service is right, as programs of its platforms judge it."""
