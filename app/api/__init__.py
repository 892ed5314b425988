"""HTTP: routes, their schemas, and how errors are rendered."""
