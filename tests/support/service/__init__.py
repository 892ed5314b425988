"""The service under test: in the test's process, on a socket, or as processes of its own."""
