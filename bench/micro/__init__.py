"""Benchmarks of one part each: calls, the wire, pictures, the emulator."""
