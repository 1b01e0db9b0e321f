"""An API server for the gateway to call: it records what it sees and answers as the suite says."""

import asyncio
import contextlib
import dataclasses

import wire


@dataclasses.dataclass
class Request:
    method: str
    target: str
    headers: list  # of (lower-case name, value)
    body: bytes

    @property
    def path(self):
        return self.target.partition("?")[0]

    def header(self, name):
        return next((value for key, value in self.headers if key == name), None)


@dataclasses.dataclass
class Reply:
    body: bytes = b""
    binary: bool = False
    status: int = 200


async def echo(request):
    """Lets everybody in and gives each message back."""
    if request.method == "POST":
        return Reply(request.body, request.header("content-type") == "application/octet-stream")
    return Reply(b"ok")


class Api:
    """`answer` is a coroutine function from `Request` to `Reply`; `seen` holds the requests unless `record` is off."""

    def __init__(self, answer=echo, record=True):
        self.answer, self.record, self.seen = answer, record, []
        self._tasks = set()

    async def start(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=wire.LIMIT, backlog=4096)
        self.port = self.server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        return self

    async def _serve(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while True:
                    await self._exchange(reader, writer)
        except asyncio.CancelledError:
            pass  # the end of the run
        finally:
            self._tasks.discard(asyncio.current_task())
            writer.close()

    async def _exchange(self, reader, writer):
        first, headers = await wire.read_head(reader)
        method, target, _ = first.split(" ")
        request = Request(method, target, headers, await wire.read_body(reader, dict(headers)))
        if self.record:
            self.seen.append(request)
        reply = await self.answer(request)
        kind = "application/octet-stream" if reply.binary else "text/plain; charset=utf-8"
        head = f"HTTP/1.1 {reply.status} -\r\nContent-Type: {kind}\r\nContent-Length: {len(reply.body)}\r\n\r\n"
        writer.write(head.encode() + reply.body)
        await writer.drain()

    def close(self):
        self.server.close()
        for task in list(self._tasks):
            task.cancel()
