"""The store of sessions: which conversations there were and where they ran, so that they go on in another
kernel; of local ones also what was said. SQLite beside the ledger, for its user's eyes only, without keys.

    store = current()
    store.put(Stored(id="local-1", name="research", backend="local"))
    store.current("", "research").id  # 'local-1'
"""

from .file import StoreError, default_path
from .process import is_alive, this_process
from .record import Record
from .sessions import Store, adding, current, flush, putting
from .stored import Stored

__all__ = [
    "Record",
    "Store",
    "StoreError",
    "Stored",
    "adding",
    "current",
    "default_path",
    "flush",
    "is_alive",
    "putting",
    "this_process",
]
