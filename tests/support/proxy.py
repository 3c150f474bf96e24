"""A way to a database that can be cut: packets vanish, and nobody is told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_CHUNK = 65536


class Proxy:
    """Passes bytes on between a loopback port and a server's socket; made and used by its own loop's thread."""

    def __init__(self, to: str, loop: asyncio.AbstractEventLoop) -> None:
        self.port = 0
        self._to = to
        self._loop = loop
        self._whole = asyncio.Event()
        self._whole.set()
        self._ends: set[asyncio.StreamWriter] = set()

    async def start(self) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ends.add(writer)
        try:
            await self._whole.wait()
            there, back = await asyncio.open_unix_connection(self._to)
            self._ends.add(back)
            await asyncio.gather(self._pass_on(reader, back), self._pass_on(there, writer))
        except OSError:  # the server is down, or one side has hung up
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                await self._whole.wait()
                writer.write(chunk)
                await writer.drain()
        writer.close()

    def cut(self) -> None:
        """From now on nothing passes, and no connection ends."""
        self._loop.call_soon_threadsafe(self._whole.clear)

    def mend(self) -> None:
        """What was open before is broken, as after any long silence; new connections work."""
        self._loop.call_soon_threadsafe(self._break_off)

    async def end(self, server: asyncio.Server) -> None:
        """Every connection is closed, and nobody waits any more."""
        server.close()
        self._break_off()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _break_off(self) -> None:
        ends, self._ends = self._ends, set()
        for writer in ends:
            writer.transport.abort()
        self._whole.set()


@contextmanager
def proxy(to: str) -> Iterator[Proxy]:
    """A proxy to this socket, in a thread of its own."""
    loop = asyncio.new_event_loop()
    made = Proxy(to, loop)
    server = loop.run_until_complete(made.start())
    thread = threading.Thread(target=loop.run_forever, name="proxy")
    thread.start()
    try:
        yield made
    finally:
        asyncio.run_coroutine_threadsafe(made.end(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
