"""Values, refusals and loops in what models write."""
