#!/usr/bin/env python3
"""Sends what two readers could understand differently to a gateway: directly, and through a real HAProxy and nginx.

    python3 e2e/internet/strictness.py target/release/ws2http-tokio

Directly each refusal has the contract's status and a closed connection. Behind a proxy the gateway must see exactly the
requests that the proxy believes to send: the proxy marks each one (with the push token, and a header for connects), so that
a smuggled one shows, and after each case another user of the same connections must get his own answer. The proxies run as
deployed, and with connections to the gateway kept alive and shared, where a disagreement would do harm.
Prints a line per place; exit code 1 if a case failed.
"""

import argparse
import asyncio
import collections
import sys
import time

import strict_paths
import strict_replies
import wire
from api import Api, echo
from gateway import Gateway
from programs import binary_argument, workspace
from proxies import TOKEN, HAProxy, Nginx
from strict_cases import AUTH, CASES
from websocket import PING, PONG, WebSocket, frame

QUIET = 0.15  # seconds without a byte after which nothing more is expected
PATIENCE = 5  # seconds for what has to come; less than --handshake-timeout, which closes connections too
MARK = "marked-by-the-proxy"


class Place:
    """A gateway with a victim and a bystander, reached directly."""

    name = "direct"
    kind = None

    def __init__(self, binary, directory):
        self.binary, self.directory = binary, directory / self.name.replace(" ", "-")
        self.wrong, self.statuses, self.number = [], collections.Counter(), 0

    async def start(self):
        self.directory.mkdir()
        self.api = await Api(echo).start()
        self.gateway = await Gateway.start(
            self.binary, self.directory, self.api.url, name="gateway", environment={"WS2HTTP_CONTROL_TOKEN": TOKEN},
        )
        self.port = self.gateway.public
        await self.start_proxy()
        self.victim = await WebSocket.connect(self.gateway.public, "/victim")
        self.bystander = await WebSocket.connect(self.gateway.public, "/bystander")
        self.direct_connects = len(self.api.seen)
        return self

    async def start_proxy(self):
        pass

    async def exchange(self, sent, methods=(), answers=0, closes=False):
        """Sends bytes; gives the answers and whether the other side closed. So many answers, and a close, are waited for."""
        reader, writer = await wire.open_connection(self.port)
        received, closed = b"", False
        try:
            writer.write(sent)
            while not closed:
                due = closes or received.count(b"HTTP/1.") < answers
                more = await next_bytes(reader, PATIENCE if due else QUIET if received else 10 * QUIET)
                if more is None:
                    break
                received, closed = received + more, not more
        except ConnectionError:
            closed = True
        finally:
            writer.transport.abort()
        return await answers_in(received, methods), closed

    def unmarked_connects(self):
        return []

    async def unmarked(self):
        """How many requests the gateway refused because they had no token."""
        return (await self.gateway.metrics())['ws2http_refusals_total{reason="unauthorised"}']

    async def heard(self):
        """What the victim has received, up to now."""
        self.victim.writer.write(frame(PING, b""))
        messages = []
        while True:
            opcode, payload = await self.victim.frame()
            if opcode == PONG:
                return messages
            messages.append(payload)

    async def run_case(self, case):
        due = {} if self.kind else {"answers": len(case.answers), "closes": case.closed}
        answers, closed = await self.exchange(case.sent, case.methods, **due)
        statuses = [answer.status for answer in answers]
        self.statuses[tuple(statuses)] += 1
        self.judge(case, statuses, closed, await self.heard())

    def judge(self, case, statuses, closed, heard):
        if b"canary" in heard:
            self.wrong.append(f"{case.name}: the smuggled push ran: {heard}")
        fits = len(statuses) == len(case.answers) and all(map(lambda status, may: status in may, statuses, case.answers))
        if not fits or (case.closed is not None and closed != case.closed):
            expected = f"{case.answers}, {'closed' if case.closed else 'open'}"
            self.wrong.append(f"{case.name}: answered {statuses}, {'closed' if closed else 'open'}, instead of {expected}")

    def said(self):
        return f"{self.statuses.total()} cases, each refusal with its status and a closed connection"


class BehindProxy(Place):
    changes = ()

    async def start_proxy(self):
        ports = [(self.gateway.public, self.gateway.public)] * 3
        self.proxy = await self.kind(self.directory, ports, [*self.marks, *self.changes]).start()
        self.port = self.proxy.pushes
        self.count = await self.unmarked()

    def judge(self, case, statuses, closed, heard):
        """Whatever the proxy makes of it, perhaps two requests: what counts is that the gateway sees the same."""

    async def run_case(self, case):
        await super().run_case(case)
        if (count := await self.unmarked()) != self.count:
            self.wrong.append(f"{case.name}: the gateway saw a request that the proxy did not send")
            self.count = count
        await self.bystanders_answer(case)

    def unmarked_connects(self):
        for request in self.api.seen[self.direct_connects :]:
            if request.method == "GET" and [value for name, value in request.headers if name == "x-edge"] != [MARK]:
                yield f"the API was asked for what the proxy did not send: {request}"

    async def bystanders_answer(self, case):
        self.number += 1
        text = f"number {self.number}".encode()
        try:
            answer = await wire.request(self.port, "POST", "/bystander", text)
            assert (answer.status, answer.body.strip()) == (200, b"ok"), answer
            await self.bystander.expect(text.decode())
        except (AssertionError, OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            self.wrong.append(f"{case.name}: another user then got {error!r}")

    def said(self):
        passed = sum(count for statuses, count in self.statuses.items() if statuses and statuses[0] < 300)
        refused = sum(count for statuses, count in self.statuses.items() if statuses and statuses[0] >= 300)
        return f"{self.statuses.total()} cases: {refused} refused, {passed} passed on, {self.statuses[()]} without an answer"


class BehindHAProxy(BehindProxy):
    name, kind = "haproxy", HAProxy
    marks = [
        ("hash-type consistent", f'hash-type consistent\n    http-request set-header Authorization "Bearer {TOKEN}"\n    http-request set-header X-Edge {MARK}'),
    ]


class BehindHAProxyKeepAlive(BehindHAProxy):
    name = "haproxy keep-alive"
    changes = [("option http-server-close", "option http-keep-alive\n    http-reuse always")]


class BehindNginx(BehindProxy):
    name, kind = "nginx", Nginx
    marks = [
        ("proxy_set_header Host $host;\n", f'proxy_set_header Host $host;\n    proxy_set_header Authorization "Bearer {TOKEN}";\n    proxy_set_header X-Edge {MARK};\n'),
    ]


class BehindNginxKeepAlive(BehindNginx):
    name = "nginx keep-alive"
    changes = [
        ("hash $uri consistent;", "hash $uri consistent;\n        keepalive 8;"),
        ("proxy_http_version 1.1;", 'proxy_http_version 1.1;\n    proxy_set_header Connection "";'),
    ]


PLACES = [Place, BehindHAProxy, BehindHAProxyKeepAlive, BehindNginx, BehindNginxKeepAlive]


async def next_bytes(reader, seconds):
    """What comes next, empty at the end; None if nothing does within `seconds`. What is there already counts, also where
    this program itself was held up for so long."""
    reading = asyncio.create_task(reader.read(1 << 16))
    await asyncio.wait([reading], timeout=seconds)
    if reading.done():
        return reading.result()
    reading.cancel()


async def answers_in(received, methods):
    """The answers in what was received; what is none has the status 0."""
    reader = asyncio.StreamReader(limit=wire.LIMIT)
    reader.feed_data(received)
    reader.feed_eof()
    answers = []
    while not reader.at_eof():
        method = methods[len(answers)] if len(answers) < len(methods) else "GET"
        try:
            answers.append(await wire.read_answer(reader, method))
        except (ValueError, asyncio.IncompleteReadError):
            answers.append(wire.Answer(0, [], received))
            break
    return answers


async def the_mark_shows(place):
    """A check that could not fail would prove nothing: what a proxy did not send is noticed."""
    before = await place.unmarked()
    answer = await wire.request(place.gateway.public, "POST", "/victim", b"canary")
    assert answer.status == 401 and await place.unmarked() == before + 1
    answer = await wire.request(place.gateway.public, "POST", "/victim", b"canary", [tuple(AUTH.decode().strip().split(": "))])
    assert answer.status == 200 and await place.heard() == [b"canary"]


async def run_place(kind, binary, directory, only):
    began = time.monotonic()
    place = await kind(binary, directory).start()
    await the_mark_shows(place)
    if place.kind:
        place.count = await place.unmarked()
    for case in CASES:
        if only is None or only in case.name:
            await place.run_case(case)
    place.wrong += await strict_paths.check(place)
    place.wrong += place.unmarked_connects()
    if place.kind is None:
        place.wrong += await strict_replies.check(binary, directory)
    place.api.close()
    print(f"{'FAILED' if place.wrong else 'passed'}  {place.name}: {place.said()}; paths and injections ({time.monotonic() - began:.0f} s)", flush=True)
    for line in place.wrong:
        print(f"        {line}")
    return not place.wrong


async def run(binary, directory, only):
    results = await asyncio.gather(*(run_place(kind, binary, directory, only) for kind in PLACES))
    return all(results)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    binary_argument(parser)
    parser.add_argument("--only", help="only the cases that have this in their name")
    arguments = parser.parse_args()
    with workspace() as directory:
        passed = asyncio.run(run(arguments.binary, directory, arguments.only))
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
