"""The store of sessions: which conversations there were and where they ran, so that they go on in another
kernel; their turns as they were shown; and the messages of local ones. SQLite beside the ledger, for its
user's eyes only, without keys.

    store = current()
    store.put(Stored(id="local-1", name="research", backend="local"))
    store.current("", "research").id  # 'local-1'
"""

from ..errors import StoreError
from .file import default_path
from .process import is_alive, this_process
from .record import Record
from .sessions import Store, adding, current, flush, putting
from .stored import Stored
from .turns import Kept, dropping, keeping, kept_messages, kept_turn, kept_turns
