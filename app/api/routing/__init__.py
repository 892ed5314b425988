"""From a request's bytes to a route's parameters."""
