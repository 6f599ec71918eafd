"""What a cell shows of a turn."""
