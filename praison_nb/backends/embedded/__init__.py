"""The embedded model: a server of its own process, and the model's file."""
