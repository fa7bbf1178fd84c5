"""The hosts that source links lead to, and what goes wrong at them."""
