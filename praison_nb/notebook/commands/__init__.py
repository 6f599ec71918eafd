"""What `%agent` and `%usage` do."""
