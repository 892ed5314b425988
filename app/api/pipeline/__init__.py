"""The middleware through which a request reaches its route."""
