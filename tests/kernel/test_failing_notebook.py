"""A notebook of turns that fail: no key is in its outputs, in the log, or in the files that stay."""

from __future__ import annotations

import json
from pathlib import Path

from servers.kernel import Kernel
from servers.openai import CutHere, OpenAIServer, chunk

KEY, PASSWORD = "vtk-babbage-1791", "d1fference"
LOG = """
import logging
logging.basicConfig(filename="debug.log", level=logging.DEBUG, force=True)
"""


def test_no_key_is_left(server: OpenAIServer, tmp_path: Path) -> None:
    address = server.base_url.replace("://", f"://ada:{PASSWORD}@")
    env = {
        "OPENAI_BASE_URL": address,
        "OPENAI_API_KEY": KEY,
        "HOME": str(tmp_path),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "PRAISON_NB_LEDGER": str(tmp_path / "ledger.sqlite"),
    }
    with Kernel(env=env) as kernel:
        cells = [kernel.run(f"%cd -q {tmp_path}\n{LOG}")]
        said = f"bad {KEY} at {address}, Bearer {KEY}"
        headers = {"x-should-retry": "false", "x-request-id": KEY}
        for status in (401, 403, 404, 429, 500):
            server.refuse(1, status=status, message=said, headers=headers)
            cells.append(kernel.run("%%agent -o failed\nHi"))
            assert not cells[-1].ok
        server.script([chunk({"content": f"half {KEY[:9]}"}), CutHere()])
        cells.append(kernel.run("%%time\n%%agent -s cut\nHi"))
        cells.append(kernel.run("%xmode Verbose"))
        cells.append(kernel.run("raise failed.error"))
        cells += [kernel.run(f"%agent {command}") for command in ("", "sessions", "show main 1")]
        cells.append(kernel.run("import pickle\npickle.dumps((failed, failed.error))"))
    shown = json.dumps([cell.messages for cell in cells], default=str)
    assert "failed (500)" in shown
    assert KEY not in shown and PASSWORD not in shown
    log = (tmp_path / "debug.log").read_text()
    assert "a request failed" in log and KEY not in log and PASSWORD not in log
    names = set()
    for file in tmp_path.rglob("*"):
        if file.is_file():
            names.add(file.name)
            left = file.read_bytes()
            assert KEY.encode() not in left and PASSWORD.encode() not in left, file
    assert "ledger.sqlite" in names
