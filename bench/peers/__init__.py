"""The service beside other gateways: who is asked, with what, and what comes of it."""
