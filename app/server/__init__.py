"""The layer between the socket and ASGI: bounds, load shedding, draining."""
