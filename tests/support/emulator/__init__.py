"""The emulator on sockets: requests to it, its faults, and checks of its answers."""
