"""An HTTP/1.1 client: connections, their pool, and a proxy."""
