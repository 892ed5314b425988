"""What tests send to the service, and readers of its answers."""
