"""A WebSocket client as bytes: messages as they come, nothing done behind the suite's back but pongs."""

import asyncio
import base64
import os
import struct

import wire

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Refused(Exception):
    def __init__(self, answer):
        super().__init__(f"{answer.status}: {answer.body[:200]!r}")
        self.answer = answer
        self.status = answer.status


class Closed(Exception):
    """The server closed; without a close frame the code is 1006."""

    def __init__(self, code, reason=""):
        super().__init__(f"{code} {reason}")
        self.code, self.reason = code, reason


def handshake(target, headers=()):
    key = base64.b64encode(os.urandom(16)).decode()
    given = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", key)]
    return wire.encode("GET", target, None, [*given, *headers])


def frame(opcode, payload, final=True, mask=None):
    head = bytes([opcode | (0x80 if final else 0)])
    size = len(payload)
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 1 << 16:
        head += struct.pack("!BH", 0x80 | 126, size)
    else:
        head += struct.pack("!BQ", 0x80 | 127, size)
    mask = os.urandom(4) if mask is None else mask
    return head + mask + masked(payload, mask)


def masked(payload, mask):
    stretched = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload) ^ int.from_bytes(stretched)).to_bytes(len(payload))


class WebSocket:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, port, target, headers=(), **how):
        """`how` goes to `asyncio.open_connection`: `ssl`, `server_hostname`."""
        reader, writer = await wire.open_connection(port, **how)
        try:
            writer.write(handshake(target, headers))
            async with asyncio.timeout(wire.SECONDS):
                answer = await wire.read_answer(reader)
        except BaseException:
            writer.close()
            raise
        if answer.status != 101:
            writer.close()
            raise Refused(answer)
        return cls(reader, writer)

    def send(self, message):
        text = isinstance(message, str)
        self.writer.write(frame(TEXT if text else BINARY, message.encode() if text else message))

    async def frame(self):
        """The next frame: opcode and payload."""
        try:
            first, size = await self.reader.readexactly(2)
            if size == 126:
                (size,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
            return first & 0x0F, await self.reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise Closed(1006, str(error)) from error

    async def receive(self):
        """The next message, `str` or `bytes`; answers pings; raises `Closed`."""
        while True:
            opcode, payload = await self.frame()
            if opcode == TEXT:
                return payload.decode()
            if opcode == BINARY:
                return payload
            if opcode == PING:
                self.writer.write(frame(PONG, payload))
            elif opcode == CLOSE:
                code = struct.unpack("!H", payload[:2])[0] if payload else 1005
                self.writer.write(frame(CLOSE, payload[:2]))
                raise Closed(code, payload[2:].decode())

    async def expect(self, message):
        async with asyncio.timeout(wire.SECONDS):
            got = await self.receive()
        assert got == message, f"{got!r} instead of {message!r}"

    async def ask(self, message):
        self.send(message)
        async with asyncio.timeout(wire.SECONDS):
            return await self.receive()

    async def close(self, code=1000):
        """The closing handshake, to its end."""
        self.writer.write(frame(CLOSE, struct.pack("!H", code)))
        async with asyncio.timeout(wire.SECONDS):
            while True:
                try:
                    await self.receive()
                except Closed:
                    break
        self.drop()

    def drop(self):
        """Ends the connection without a closing handshake."""
        self.writer.transport.abort()
