"""The control API: what a test or a demonstration asks of the emulator itself."""
