"""What runs a turn: the background loop, the run, the user's functions, approvals."""
