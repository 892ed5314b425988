"""What stands around a port without its users knowing."""
