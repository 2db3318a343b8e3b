"""Passes bytes between a TCP port and a Unix socket: `python -m support.relay HOST PORT SOCKET`."""

import asyncio
import sys
from contextlib import suppress

_BLOCK = 1 << 16


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(_BLOCK):
            target.write(data)
            await target.drain()
    with suppress(OSError):
        target.close()


async def _serve(host: str, port: int, path: str) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_unix_connection(path)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))

    server = await asyncio.start_server(connected, host, port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
