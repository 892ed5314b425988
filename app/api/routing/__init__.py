"""Turns a request's bytes into a route's parameters."""
