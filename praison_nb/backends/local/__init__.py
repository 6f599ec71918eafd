"""LocalAgent: the agent loop runs here, with any model."""
