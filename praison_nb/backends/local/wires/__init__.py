"""The forms in which providers are asked: one neutral history, three wires."""
