"""Looking into media and packing it anew, in a child process with limits."""
