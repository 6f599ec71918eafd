"""HostedAgent: the agent loop runs on the provider's runtime."""
