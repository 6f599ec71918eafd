"""The backends by name, and the choice among them."""

from .catalog import choice
from .registry import as_backend, backend_class, choose, create, is_same, names, register, with_model_of
