"""Ports of servers that are processes of their own: known before they listen, and the same after a restart."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def reserved_port() -> Iterator[int]:
    """One that the system gives to nobody else meanwhile: it is bound here, where nobody listens. Whoever names it, and
    sets SO_REUSEADDR as servers do, may listen there all the same."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]
