#!/usr/bin/env python3
"""Where the heap bytes of a client are: by the function that asked for them.

    python3 benches/memory.py target/release/ws2http-tokio             # idle clients
    python3 benches/memory.py target/release/ws2http-tokio --active    # each has had a message answered

Opens clients, ends the gateway with a second signal so that they are still there, and reads the heap profile that
`--memprofile` writes. Two runs are compared, with few clients and with many, so that what the process itself takes
does not count. Resident memory is more than this: pages that are not full, and the allocator's own.
"""

import argparse
import asyncio
import collections
import gzip
import os
import re
import signal
import subprocess
import sys
import tempfile

FEW, MANY = 200, 4200
FRAME = b"\x81\x85\0\0\0\0hello"

# Who asked: the first function, from the allocation outwards, that is in one of these folders.
ROOMS = ["core/src/", "driver/src/", "runtime-tokio/src/", "runtime-smol/src/"]
LIBRARIES = re.compile(r"/(tokio|mio|async-io|polling|isahc)-\d[^/]*/src/(.*)")


async def api(reader, writer):
    """Says ok to everything, on kept connections."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = re.search(rb"content-length: *(\d+)", head, re.I)
            await reader.readexactly(int(length[1]) if length else 0)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
        writer.close()


async def client(port, number, active):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"GET /client-{number:06} HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    answer = await reader.readuntil(b"\r\n\r\n")
    if b" 101 " not in answer:
        sys.exit(f"client {number} was refused: {answer!r}")
    if active:
        writer.write(FRAME)
        await reader.readexactly(4)
    return writer


async def profile(program, count, active):
    """The heap profile of a gateway that has so many clients."""
    server = await asyncio.start_server(api, "127.0.0.1", 0)
    api_port = server.sockets[0].getsockname()[1]
    with tempfile.NamedTemporaryFile() as file:
        arguments = ["--api", f"http://127.0.0.1:{api_port}/", "--listen", "127.0.0.1:0", "--memprofile", file.name]
        # Every allocation of about 256 bytes is looked at, not one in 64 KiB.
        environment = {**os.environ, "MALLOC_CONF": "lg_prof_sample:8"}
        gateway = subprocess.Popen(
            [program, *arguments, "--ping-interval", "0", "--log-format", "text"],
            env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        )
        for line in gateway.stderr:
            if found := re.search(r"public=\"?127\.0\.0\.1:(\d+)", line):
                break
        else:
            sys.exit(f"{program} does not listen")
        clients = []
        for start in range(0, count, 100):
            batch = range(start, min(start + 100, count))
            clients += await asyncio.gather(*(client(int(found[1]), number, active) for number in batch))
        for _ in range(2):
            gateway.send_signal(signal.SIGINT)
            await asyncio.sleep(0.2)
        gateway.stderr.read()
        gateway.wait(timeout=60)
        for writer in clients:
            writer.close()
        server.close()
        return open(file.name, "rb").read()


def fields(message):
    """The fields of a protobuf message: number and value, of varints and of bytes."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        elif key & 7 == 2:
            length = varint()
            yield key >> 3, message[at : at + length]
            at += length
        else:
            raise ValueError(f"wire type {key & 7}")


def numbers(value):
    """A repeated number: packed, or alone."""
    if isinstance(value, int):
        return [value]
    packed, result = iter(value), []
    for byte in packed:
        number, shift = byte & 0x7F, 7
        while byte >= 0x80:
            byte = next(packed)
            number |= (byte & 0x7F) << shift
            shift += 7
        result.append(number)
    return result


def by_function(raw):
    """Bytes by the function that asked for them."""
    strings, names, locations, samples = [], {}, {}, []
    for number, value in fields(gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw):
        if number == 6:
            strings.append(value.decode())
        elif number == 5:
            function = dict(fields(value))
            names[function[1]] = (function[2], function.get(4, 0))
        elif number == 4:
            lines = [dict(fields(line)) for kind, line in fields(value) if kind == 4]
            locations[dict(fields(value))[1]] = [line[1] for line in lines]
        elif number == 2:
            samples.append(list(fields(value)))
    total = collections.Counter()
    for sample in samples:
        stack = [place for kind, value in sample if kind == 1 for place in numbers(value)]
        values = [amount for kind, value in sample if kind == 2 for amount in numbers(value)]
        functions = [tuple(strings[text] for text in names[name]) for place in stack for name in locations[place]]
        total[asker(functions)] += values[-1]
    return total


def asker(functions):
    """The function that asked, and the library that took the memory for it."""
    library = ""
    for function, file in functions:
        if found := LIBRARIES.search(file):
            library = library or f" ({found[1]}: {found[2]})"
        for room in ROOMS:
            # The standard library has folders of that name too.
            if room in file and "/library/" not in file and "/registry/" not in file:
                bare = re.sub(r"<.*>", "", function)
                return f"{file[file.index(room):]}: {bare}{library}"
    return "elsewhere"


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="the gateway, as target/release/ws2http-tokio")
    parser.add_argument("--active", action="store_true", help="every client has a message answered first")
    arguments = parser.parse_args()
    few, many = [by_function(await profile(arguments.program, count, arguments.active)) for count in (FEW, MANY)]
    rows = {who: (many[who] - few[who]) / (MANY - FEW) for who in many}
    print(f"{'bytes':>7}  asked for by")
    for who, size in sorted(rows.items(), key=lambda row: -row[1]):
        if size >= 0.5:
            print(f"{size:7.1f}  {who}")
    print(f"{sum(rows.values()):7.1f}  together, of a client")


if __name__ == "__main__":
    asyncio.run(main())
