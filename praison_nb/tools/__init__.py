"""Tools that an agent may call: Python functions, and those that are built in."""
