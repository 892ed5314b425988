"""AWS's shapes on the wire: bodies, frames, signatures and errors."""
