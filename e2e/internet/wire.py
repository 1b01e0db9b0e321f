"""HTTP/1.1 as bytes: requests written as given, answers read strictly."""

import asyncio
import dataclasses

LIMIT = 32 << 20  # bytes that a reader may hold
SECONDS = 20  # how long an answer may take


@dataclasses.dataclass
class Answer:
    status: int
    headers: list  # of (lower-case name, value)
    body: bytes

    def header(self, name):
        return next((value for key, value in self.headers if key == name), None)


async def open_connection(port, **how):
    async with asyncio.timeout(SECONDS):
        return await asyncio.open_connection("127.0.0.1", port, limit=LIMIT, **how)


async def request(port, method, target, body=None, headers=(), **how):
    """One request on a connection of its own."""
    reader, writer = await open_connection(port, **how)
    try:
        writer.write(encode(method, target, body, [("Connection", "close"), *headers]))
        async with asyncio.timeout(SECONDS):
            return await read_answer(reader, method)
    finally:
        writer.close()


def encode(method, target, body=None, headers=()):
    lines = [f"{method} {target} HTTP/1.1", "Host: gateway"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


async def read_head(reader):
    """First line and headers; `asyncio.IncompleteReadError` when the connection ends before."""
    head = (await reader.readuntil(b"\r\n\r\n"))[:-4].decode("latin-1")
    first, *lines = head.split("\r\n")
    fields = [line.split(":", 1) for line in lines]
    return first, [(name.lower(), value.strip()) for name, value in fields]


async def read_answer(reader, method="GET"):
    """The next answer, passing over any 100 Continue."""
    while True:
        first, headers = await read_head(reader)
        version, status, *_ = first.split(" ")
        if not version.startswith("HTTP/1.") or len(status) != 3:
            raise ValueError(f"no answer: {first!r}")
        if status != "100":
            break
    body = b""
    if method != "HEAD" and int(status) >= 200 and status not in ("204", "304"):
        body = await read_body(reader, dict(headers), to_end=True)
    return Answer(int(status), headers, body)


async def read_body(reader, headers, to_end=False):
    if "transfer-encoding" in headers:
        return await read_chunks(reader)
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    return await reader.read() if to_end else b""


async def read_chunks(reader):
    body = b""
    while size := int((await reader.readuntil(b"\r\n"))[:-2], 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readuntil(b"\r\n")
    return body
