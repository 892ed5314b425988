"""The control plane, and the emulator's own endpoints beside it."""
