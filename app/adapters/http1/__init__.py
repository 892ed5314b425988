"""An HTTP/1.1 client: connections, their pool, a way through a proxy."""
