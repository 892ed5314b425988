"""The HTTP interface: routes, their schemas, and the rendering of errors."""
