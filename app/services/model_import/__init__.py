"""What Custom Model Import asks of a folder of weights, checked before it costs anything."""
