"""A caller who goes while an answer is being written."""

from aiohttp import web

_CLIENT_CLOSED_REQUEST = 499
"""nginx's word for it."""


def gone(request: web.Request, error: ConnectionError) -> web.Response:
    """What to return when writing has failed with this error. Raises it if the caller is still there.

    People close their tabs at any moment: that is no error of ours, which aiohttp would log with a traceback.
    """
    if request.transport is not None and not request.transport.is_closing():
        raise error
    return web.Response(status=_CLIENT_CLOSED_REQUEST)
