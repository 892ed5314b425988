"""How long models are there, and what answers after them."""
