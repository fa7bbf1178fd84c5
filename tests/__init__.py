"""Telecine's own tests: a package, since some libraries install one of this name too, which would win otherwise."""
