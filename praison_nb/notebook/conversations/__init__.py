"""The kernel's conversations by name, and those of earlier kernels."""
