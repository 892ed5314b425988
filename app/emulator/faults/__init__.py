"""What goes wrong on demand, and when."""
