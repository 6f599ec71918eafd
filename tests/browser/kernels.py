"""Kernels of a Jupyter server that begin at once, as those of the other tests do (servers/forked.py)."""

from __future__ import annotations

from typing import Any

from jupyter_server.services.kernels.kernelmanager import ServerKernelManager

from servers.forked import ForkingProvisioner, fork_server

fork_server()  # it imports while the server and the first page begin


class ForkingKernelManager(ServerKernelManager):
    """Has its kernel forked instead of started."""

    async def _async_pre_start_kernel(self, **kwargs: Any) -> tuple[list[str], dict[str, Any]]:
        if self.provisioner is None:
            self.provisioner = ForkingProvisioner(
                kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self
            )
        return await super()._async_pre_start_kernel(**kwargs)
