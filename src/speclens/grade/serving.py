"""The server of the inspection page: a port, an address, and its life.

In: an application. Out: pages on 127.0.0.1 until somebody ends it.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

from speclens.errors import RunError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["addresses", "name_of_host", "open_port", "serve"]

PORTS_TRIED = 50
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - only where the user asks for it
TAKEN = (errno.EADDRINUSE, errno.EACCES)


def open_port(host: str, port: int) -> socket.socket:
    """Open a port, or the next one that is free.

    Parameters
    ----------
    host : str
        Address to bind.
    port : int
        The first to try.

    Returns
    -------
    socket
        Bound; nobody else can take it any more.

    Raises
    ------
    RunError
        If none is free, or the address is not of this computer.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for tried in range(port, min(port + PORTS_TRIED, 65536)):
        opened = socket.socket(family, socket.SOCK_STREAM)
        try:
            # A port that was just left may be used again; one in use may not.
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind((host, tried))
            opened.listen(64)
        except OSError as error:
            opened.close()
            if error.errno in TAKEN:
                continue
            raise RunError(f"--host {host}: {error.strerror or error}") from error
        return opened
    raise RunError(f"ports {port} to {tried} are all taken; choose another --port")


def name_of_host(host: str) -> str:
    """Return the name by which a page is called.

    Parameters
    ----------
    host : str
        Address that is bound.

    Returns
    -------
    str
        The same; the name of this computer where all of its addresses are bound.
    """
    return socket.gethostname() if host in EVERYWHERE else host


def addresses(host: str, port: int, token: str) -> list[str]:
    """Say where the page is.

    Parameters
    ----------
    host, port : str, int
        Where it listens.
    token : str
        What the address must hold.

    Returns
    -------
    list of str
        The address; of a computer reached by ssh, how to reach it too.
    """
    name = name_of_host(host)
    name = f"[{name}]" if ":" in name else name
    told = [f"http://{name}:{port}/?token={token}"]
    if os.environ.get("SSH_CONNECTION"):
        told.append(
            f"from your own computer first: ssh -L {port}:127.0.0.1:{port} {socket.gethostname()}"
        )
    prefix = os.environ.get("JUPYTERHUB_SERVICE_PREFIX")
    if prefix:
        told.append(
            f"in JupyterHub, with --proxy and its name: {prefix}proxy/{port}/?token={token}"
        )
    return told


def serve(app: ASGIApp, opened: socket.socket) -> None:
    """Serve an application until a signal ends the process.

    Parameters
    ----------
    app : ASGI application
        The application.
    opened : socket
        Where, from `open_port`.
    """
    import uvicorn

    config = uvicorn.Config(
        app, log_level="warning", access_log=False, lifespan="off", ws="none", http="h11",
        loop="asyncio", server_header=False, date_header=False, timeout_graceful_shutdown=2,
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[opened])
