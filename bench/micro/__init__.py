"""One part at a time: calls, the wire, pictures, the emulator."""
