#!/usr/bin/env python3
"""Shows what a client cannot find out and cannot write where others read it: errors, logs, metrics, process list.

    python3 e2e/internet/exposure.py target/release/ws2http-tokio

Prints a line per check; exit code 1 if one failed.
"""

import argparse
import asyncio
import contextlib
import pathlib
import re
import struct
import sys
import traceback

import wire
from api import Api, Reply
from gateway import Gateway
from programs import binary_argument, free_port, listens, workspace
from websocket import CLOSE, WebSocket, frame, handshake

TOKEN, HEADER, PATH = "s3cret-token", "s3cret-header", "s3cret-path"
FORGED = 'forged\n{"level":"ERROR","fields":{"message":"forged"}}\n2026-01-01T00:00:00Z ERROR forged\r\n\x1b[31mred\x1b]0;title\x07\x9b31m\u2028\u202e'
# What would tell a client about the inside.
INTERNAL = re.compile(r"127\.0\.0\.1|localhost|:\d{4,5}|s3cret|\.rs\b|panick|tokio|hyper|os error|connection refused|/root|/home|ws2http|0x[0-9a-f]{6}", re.I)


async def answer(request):
    """Lets in and echoes; ids make it fail in other ways."""
    name = request.path.rpartition("/")[2]
    if request.method == "GET" and name.startswith("say-"):
        return Reply(FORGED.encode())
    if request.method == "GET" and name.startswith("status-"):
        return Reply(b"the API's own text", status=int(name[7:]))
    if request.method == "GET" and name == "silent":
        await asyncio.sleep(30)
    if request.method == "POST" and request.body == b"fail":
        return Reply(FORGED.encode(), status=500)
    return Reply(b"ok" if request.method == "GET" else request.body)


@contextlib.asynccontextmanager
async def world(binary, directory, *flags):
    api = await Api(answer).start()
    environment = {"WS2HTTP_CONTROL_TOKEN": TOKEN, "WS2HTTP_API_HEADER": f"X-Secret: {HEADER}"}
    flags = ["--api-timeout", "1s", "--handshake-timeout", "1s", "--log", "trace", *flags]
    gateway = await Gateway.start(binary, directory, f"{api.url}{PATH}/", *flags, environment=environment)
    try:
        yield gateway, api
    finally:
        gateway.kill()
        api.close()


async def raw(port, sent, seconds=2):
    """All that comes back for these bytes within this time."""
    reader, writer = await wire.open_connection(port)
    writer.write(sent)
    received = b""
    with contextlib.suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(seconds):
            while more := await reader.read(1 << 16):
                received += more
    writer.close()
    return received.decode("latin-1")


def without_key(text):
    return re.sub(r"sec-websocket-accept: .*", "", text, flags=re.I)


async def provoke(gateway, dead):
    """Everything that a client can be told."""
    targets = ["/", "/metrics", "/-/healthy", "/a/b", "/..", "/%zz", "/%ff", "/a%0a", "/status-404", "/status-500", "/status-302", "/say-x", "/silent", "/ok"]
    port = gateway.public
    sends = [handshake(target) for target in targets]
    sends += [wire.encode("GET", target) for target in ("/a", "/../etc/passwd", "/a?x")]
    sends += [wire.encode(method, "/a", b"x", headers) for method in ("POST", "DELETE", "PUT") for headers in ((), [("Authorization", "Bearer x")])]
    sends += [b"GET /a HTTP/1.1\r\n\r\n", b"\0\r\n\r\n", b"GET /a HTTP/3.0\r\n\r\n", b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"]
    sends += [handshake("/a").replace(b"13", b"12"), b"GET /slow HTTP/1.1\r\nHost", handshake("/ok2") + frame(1, b"\xff"), handshake("/ok3") + frame(1, b"fail")]
    sends += [handshake("/ok4") + frame(3, b"x"), handshake("/ok5") + frame(CLOSE, struct.pack("!H", 5000))]
    sends = [(port, sent) for sent in sends] + [(dead.public, handshake(f"/dead{number}")) for number in range(3)]
    # Some are due after a second.
    return await asyncio.gather(*(raw(port, sent, 5) for port, sent in sends))


async def errors_tell_nothing_of_the_inside(binary, directory):
    async with world(binary, directory) as (gateway, _):
        flags = ["--api-timeout", "1s"]
        dead = await Gateway.start(binary, directory, f"http://127.0.0.1:{free_port()}/{PATH}/", *flags, name="dead")
        answers = await provoke(gateway, dead)
        kinds = {re.match(r"HTTP/1.1 (\d+)", text)[1] for text in answers if text}
        assert {"101", "400", "401", "403", "404", "408", "426", "502", "504", "505"} <= kinds, kinds
        for text in answers:
            told = INTERNAL.search(without_key(text).replace(FORGED, ""))
            assert not told, f"{told[0]!r} in {text!r}"
            assert not re.search(r"^server:", text, re.I | re.M), text
        dead.kill()
    return f"{len(answers)} answers, statuses {' '.join(sorted(kinds))}"


async def write_into_the_log(gateway):
    """Ids, queries, headers, close reasons, messages and API texts that try to be log lines."""
    port = gateway.public
    escaped = "".join(f"%{byte:02X}" for byte in FORGED.encode())
    bidi = "x%E2%80%AE%E2%80%A8%20%22ERROR%20forged"  # allowed in an id: no control characters
    sends = [handshake(f"/{escaped}"), handshake(f"/{bidi}"), handshake(f"/q?{escaped}"), handshake("/say-hello")]
    for value in (FORGED, "a\x1b[31mforged", "a\tforged", "a\x9bforged", "\x07forged"):
        for name in ("X-Forwarded-For", "User-Agent", "Origin", "Sec-WebSocket-Protocol", "Cookie"):
            sends.append(handshake("/h").replace(b"\r\n\r\n", f"\r\n{name}: {value}\r\n\r\n".encode("utf-8")))
    sends += [f"GET /\x1b[31mforged HTTP/1.1\r\n\r\n".encode(), b"\x1b[31mforged\r\n\r\n", b"forged\n" * 10]
    sends.append(handshake("/kick", []) + frame(CLOSE, struct.pack("!H", 4000) + FORGED.encode()[:120].decode(errors="ignore").encode()))
    sends.append(handshake(f"/{bidi}2") + frame(1, b"fail") + frame(1, FORGED.encode()))
    await asyncio.gather(*(raw(port, sent) for sent in sends))
    kick = f"/nobody?code=4000&reason={escaped[:300]}"
    await gateway.control_request("DELETE", kick, TOKEN)


async def logs_cannot_be_forged(binary, directory):
    for form in ("json", "text"):
        async with (world if form == "json" else text_world)(binary, directory) as (gateway, api):
            await write_into_the_log(gateway)
            assert len(api.seen) > 3 and "a call to the API failed" in gateway.output()
            check_log(gateway.output(), form)


@contextlib.asynccontextmanager
async def text_world(binary, directory):
    """With the text log, from which no port can be read."""
    api, port = await Api(answer).start(), free_port()
    command = [binary, "--listen", f"127.0.0.1:{port}", "--api", api.url, "--log", "trace", "--api-timeout", "1s", "--handshake-timeout", "1s"]
    gateway = Gateway("text", command, directory, {"WS2HTTP_CONTROL_TOKEN": TOKEN})
    gateway.public = gateway.control = port
    await gateway.ready("it listens", lambda: listens(port))
    try:
        yield gateway, api
    finally:
        gateway.kill()
        api.close()


def check_log(log, form):
    lines = log.split("\n")[:-1]
    assert len(lines) > 3
    for line in lines:
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e]", line), f"control characters in the log: {line!r}"
        begins = r"\{\"timestamp\":\"2" if form == "json" else r"\d{4}-\d\d-\d\dT[\d:.]+Z +(ERROR|WARN|INFO|DEBUG|TRACE) "
        assert re.match(begins, line), f"not a line of the log's own: {line!r}"
        assert not re.match(r"\S+ +ERROR forged|.*\"message\":\"forged", line), f"forged: {line!r}"


async def secrets_stay_inside(binary, directory):
    async with world(binary, directory) as (gateway, api):
        socket = await WebSocket.connect(gateway.public, "/alice", [("Authorization", "Bearer client-s3cret"), ("Cookie", "session=cookie-s3cret")])
        assert await socket.ask("message-s3cret") == "message-s3cret"
        assert api.seen[0].header("x-secret") == HEADER and api.seen[0].header("cookie")
        push = await gateway.control_request("POST", "/alice", TOKEN, b"push-s3cret")
        assert push.status == 200
        metrics = await wire.request(gateway.control, "GET", "/metrics")
        command = pathlib.Path(f"/proc/{gateway.pid}/cmdline").read_bytes().decode()
        for where, text in (("metrics", metrics.body.decode()), ("command line", command), ("log", gateway.output())):
            for secret in (TOKEN, HEADER, "client-s3cret", "cookie-s3cret", "message-s3cret", "push-s3cret"):
                assert secret not in text, f"{secret} in the {where}"
        assert "alice" not in metrics.body.decode(), "ids would make metrics grow without end"
        await socket.close()


async def only_the_whole_token_opens(binary, directory):
    async with world(binary, directory) as (gateway, _):
        socket = await WebSocket.connect(gateway.public, "/alice")
        wrong = ["", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), TOKEN[::-1], f"{TOKEN} {TOKEN}", f"{TOKEN},x", "\0" + TOKEN, '"' + TOKEN + '"']
        values = [f"Bearer {token}" for token in wrong] + [TOKEN, f"Basic {TOKEN}", f"Bearer{TOKEN}", f"Bearer: {TOKEN}", f"Token {TOKEN}"]
        for value in values:
            for method in ("POST", "DELETE", "HEAD"):
                answer = await wire.request(gateway.public, method, "/alice", None, [("Authorization", value)])
                assert answer.status in (400, 401), (method, value, answer)
        both = [("Authorization", "Bearer x"), ("Authorization", f"Bearer {TOKEN}")]
        for headers in (both, both[::-1], [("X-Authorization", f"Bearer {TOKEN}")], [("Cookie", f"token={TOKEN}")]):
            assert (await wire.request(gateway.public, "POST", "/alice", b"x", headers)).status == 401, headers
        for target in (f"/alice?token={TOKEN}", f"/alice?access_token={TOKEN}"):
            assert (await wire.request(gateway.public, "POST", target, b"x")).status == 401, target
        assert await socket.ask("nothing before") == "nothing before"
        await socket.close()
    return f"{len(values) + 6} wrong ways"


async def without_the_token_nobody_learns_who_is_there(binary, directory):
    async with world(binary, directory) as (gateway, _):
        socket = await WebSocket.connect(gateway.public, "/alice")
        for method in ("POST", "DELETE", "HEAD"):
            there, absent = [await wire.request(gateway.public, method, f"/{name}") for name in ("alice", "nobody")]
            assert there == absent and there.status == 401, (there, absent)
        await socket.close()


CHECKS = [
    errors_tell_nothing_of_the_inside, logs_cannot_be_forged, secrets_stay_inside, only_the_whole_token_opens,
    without_the_token_nobody_learns_who_is_there,
]


async def run(binary, directory):
    failed = 0
    for check in CHECKS:
        where = directory / check.__name__
        where.mkdir()
        try:
            said = await check(binary, where)
        except Exception:
            failed += 1
            print(f"FAILED  {check.__name__.replace('_', ' ')}\n{traceback.format_exc()}", flush=True)
        else:
            print(f"passed  {check.__name__.replace('_', ' ')}{': ' + said if said else ''}", flush=True)
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return not failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    binary_argument(parser)
    binary = parser.parse_args().binary
    with workspace() as directory:
        passed = asyncio.run(run(binary, directory))
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
