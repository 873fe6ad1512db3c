"""What a worker has sent arrives, whatever becomes of the connection."""

import asyncio

import aiohttp
import pytest

from gateway.upstream import ConnectionLost, Reply

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_what_had_arrived_when_the_connection_was_lost_is_read_before_the_loss_is_told():
    is_lost = asyncio.Event()

    async def answer_and_vanish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"4\r\nOnce\r\n")
        await writer.drain()
        writer.transport.abort()
        is_lost.set()

    async with await asyncio.start_server(answer_and_vanish, "127.0.0.1") as server, aiohttp.ClientSession() as session:
        port = server.sockets[0].getsockname()[1]
        reply = Reply(await session.get(f"http://127.0.0.1:{port}/"))
        await is_lost.wait()
        await _until_lost(reply)
        assert await reply.chunk() == b"Once"
        with pytest.raises(ConnectionLost):
            await reply.chunk()
        reply.close()


async def _until_lost(reply: Reply) -> None:
    async with asyncio.timeout(30):
        while reply._response.content.exception() is None:  # noqa: ASYNC110 - the loss of a connection sets no event
            await asyncio.sleep(0.01)
