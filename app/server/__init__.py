"""What stands between the socket and ASGI: bounds, load shedding, draining."""
