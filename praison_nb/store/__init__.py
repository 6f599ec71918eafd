"""The store of sessions: which conversations there were and where they ran, so that they go on in another
kernel; their turns as they were shown; and the messages of local ones. SQLite beside the ledger, for its
user's eyes only, without keys.

    store = current()
    store.put(StoredSession(id="local-1", name="research", backend="local"))
    store.current("", "research").id  # 'local-1'
"""

from ..errors import StoreError
from ..process import is_alive
from .file import default_path
from .process import this_process
from .sessions import Store, append_messages, current, flush, upsert_session
from .stored import SessionSummary, StoredSession
from .turns import (
    StoredTurn,
    delete_orphan_turns,
    find_turn,
    list_turns,
    read_turn,
    read_turn_messages,
    upsert_turn,
)
