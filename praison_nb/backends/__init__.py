"""The backends by name, and the choice among them."""

from .catalog import choice as choice
from .registry import as_backend as as_backend
from .registry import backend_class as backend_class
from .registry import choose as choose
from .registry import create as create
from .registry import names as names
from .registry import register as register
