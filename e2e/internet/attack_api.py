"""The API of attack.py, in a process of its own: prints its port, echoes, and answers `endless` without end."""

import asyncio

import wire
from api import Api, echo


class EndlessApi(Api):
    async def _exchange(self, reader, writer):
        first, headers = await wire.read_head(reader)
        body = await wire.read_body(reader, dict(headers))
        if body == b"endless":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
                await writer.drain()
        text = body or (b"ok" if first.startswith("GET") else b"")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
        await writer.drain()


async def main():
    api = await EndlessApi(echo).start()
    print(f"port {api.port}", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
