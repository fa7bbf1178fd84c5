"""Reading source links that are not to be trusted."""
