"""Answers of an API that end elsewhere than it says: no part of one may be taken for the answer to another call."""

import asyncio
import contextlib

import wire
from gateway import Gateway
from websocket import WebSocket

# One connection to the API at a time, so that what is left over on it would meet the next call. An answer of which
# the end cannot be known may cost its call the timeout.
FLAGS = ["--max-api-connections", "1", "--threads", "1", "--api-timeout", "2s"]
STOLEN = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\ncanary"
REPLIES = {
    "204 with a body": b"HTTP/1.1 204 No Content\r\nContent-Length: %d\r\n\r\n" % len(STOLEN) + STOLEN,
    "204 without a length": b"HTTP/1.1 204 No Content\r\n\r\n" + STOLEN,
    "304 with a body": b"HTTP/1.1 304 Not Modified\r\nContent-Length: %d\r\n\r\n" % len(STOLEN) + STOLEN,
    "two answers": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + STOLEN,
    "a body longer than its length": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + STOLEN,
    "both lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + STOLEN,
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n" + STOLEN,
    "chunks, then more": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + STOLEN,
    "an interim answer": b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + STOLEN,
    "a switch of protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n" + STOLEN,
}


async def check(binary, directory):
    """What is wrong, one line each."""
    wrong, attacks = [], []
    replies = {"first": None}

    async def serve(reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                _, headers = await wire.read_head(reader)
                body = await wire.read_body(reader, dict(headers))
                if body == b"attack":
                    attacks.append(replies["first"])
                    writer.write(replies["first"])
                else:
                    text = body or b"ok"
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    api = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    gateway = await Gateway.start(binary, directory, api, *FLAGS, name="gateway-replies")
    attacker = await WebSocket.connect(gateway.public, "/attacker")
    other = await WebSocket.connect(gateway.public, "/other")
    for name, reply in REPLIES.items():
        replies["first"] = reply
        attacker.send("attack")
        for text in ("one", "two"):
            try:
                answer = await other.ask(text)
            except TimeoutError:
                answer = None
            if answer != text:
                wrong.append(f"API answers with {name}: another client got {answer!r}")
        if wrong:
            break  # what follows would be its aftermath
    if not wrong and attacks != list(REPLIES.values()):
        wrong.append(f"{len(attacks)} of {len(REPLIES)} bad answers were sent")
    server.close()
    gateway.kill()
    return wrong
