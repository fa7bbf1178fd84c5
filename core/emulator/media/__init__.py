"""Small films of every kind, made on the spot, and what tells whether two are the same."""
