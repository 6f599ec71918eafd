"""Kernels of a Jupyter server that begin at once, as those of the other tests do (servers/forked.py)."""

from __future__ import annotations

from jupyter_server.services.kernels.kernelmanager import ServerKernelManager

from servers.forked import Forking, fork_server

fork_server()  # it imports while the server and the first page begin


class ForkingKernelManager(Forking, ServerKernelManager):
    """Has its kernel forked instead of started."""
