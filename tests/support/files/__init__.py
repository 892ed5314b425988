"""Pictures and documents for tests, real and generated, and checks of prepared pictures."""
