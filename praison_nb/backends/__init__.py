"""The backends by name, and the choice among them."""

from .catalog import choice
from .registry import as_backend, backend_class, choose, create, names, register
