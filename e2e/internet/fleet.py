"""Several gateways behind a proxy, one API that keeps a picture of who is connected, and clients that come back."""

import asyncio
import collections
import contextlib
import time
from urllib.parse import quote, unquote

from api import Api, Reply
from gateway import Gateway
from programs import wait_until
from proxies import ORIGIN, TOKEN
from websocket import Closed, Refused, WebSocket


class Picture:
    """What an API knows from the gateways' requests: the connection of each id. Echoes messages."""

    def __init__(self):
        self.connected = {}  # ClientId to X-Connection-Id
        self.requests = []
        self.deletes = collections.Counter()  # by X-Connection-Id

    async def __call__(self, request):
        client, connection = unquote(request.path[1:]), request.header("x-connection-id")
        if request.method == "GET":
            self.requests.append(request)
            self.connected[client] = connection
        elif request.method == "DELETE":
            self.deletes[connection] += 1
            if self.connected.get(client) == connection:  # a late DELETE does not end a newer connection
                del self.connected[client]
        else:
            return Reply(request.body)
        return Reply(b"ok")


class Fleet:
    """Gateways and their proxy. `changes` are made to the proxy's file."""

    def __init__(self, binary, directory, kind, count=3, flags=(), changes=()):
        self.binary, self.directory, self.kind, self.flags = binary, directory, kind, flags
        self.count, self.changes, self.names = count, changes, 0
        self.picture = Picture()

    async def __aenter__(self):
        self.directory.mkdir()
        self.api = await Api(self.picture, record=False).start()
        self.gateways = [await self.start_gateway() for _ in range(self.count)]
        ports = [(gateway.public, gateway.control) for gateway in self.gateways]
        self.proxy = await self.kind(self.directory, ports, self.changes).start()
        return self

    async def __aexit__(self, *failure):
        if failure[0] is None:
            for program in (self.proxy.program, *self.gateways):
                program.kill()
        self.api.close()

    async def start_gateway(self, like=None):
        """A gateway; on the ports of `like`, which has ended, if that is given."""
        self.names += 1
        control = like.control if like else 0
        flags = [*self.kind.gateway_flags(control), "--origin", ORIGIN[1], *self.flags]
        return await Gateway.start(
            self.binary, self.directory, self.api.url, *flags, name=f"gateway{self.names}",
            listen=like.public if like else 0, environment={"WS2HTTP_CONTROL_TOKEN": TOKEN},
        )

    async def on(self, gateway, client_id):
        """Whether the client is connected to this very gateway."""
        answer = await gateway.control_request("HEAD", "/" + quote(client_id, safe=""), TOKEN)
        assert answer.status in (200, 404), answer
        return answer.status == 200

    async def push(self, client_id, text):
        """The status of a push through the proxy."""
        return (await self.proxy.push("/" + quote(client_id, safe=""), text.encode())).status

    async def meets(self, client_id):
        return await self.push(client_id, "meet") == 200


class Member:
    """A client that connects again whenever it is cut off, until it leaves."""

    def __init__(self, fleet, client_id):
        self.fleet, self.client_id = fleet, client_id
        self.got, self.codes, self.refusals = [], [], collections.Counter()
        self.socket = None
        self.task = asyncio.create_task(self._live())

    async def _live(self):
        target = "/" + quote(self.client_id, safe="") + "?ticket=1"
        while True:
            try:
                self.socket = await self.fleet.proxy.connect(target)
                while True:
                    self.got.append(await self.socket.receive())
            except Closed as closed:
                self.codes.append(closed.code)
            except Refused as refused:
                self.refusals[refused.status] += 1
            except (OSError, asyncio.IncompleteReadError, TimeoutError):
                self.refusals["no answer"] += 1
            if self.socket:
                self.socket.drop()
            self.socket = None
            await asyncio.sleep(0.1)

    async def leave(self):
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task
        if self.socket:
            await self.socket.close()


@contextlib.asynccontextmanager
async def members(fleet, count, prefix="member"):
    """Clients that are all connected; at the end they leave and the picture must be empty."""
    everybody = [Member(fleet, f"{prefix}-{number}") for number in range(count)]
    ids = {member.client_id for member in everybody}
    try:
        await wait_until("all are connected", lambda: ids <= set(fleet.picture.connected) and all(m.socket for m in everybody))
        yield everybody
        await asyncio.gather(*(member.leave() for member in everybody))
    finally:
        for member in everybody:
            member.task.cancel()


class Traffic:
    """Pushes numbered texts to every member in turn and keeps those that were answered ok or queued."""

    def __init__(self, fleet, everybody):
        self.fleet, self.everybody = fleet, everybody
        self.taken = collections.defaultdict(list)
        self.statuses = collections.Counter()
        self.task = asyncio.create_task(self._run())

    async def _run(self):
        number = 0
        while True:
            for member in self.everybody:
                number += 1
                status = await self.fleet.push(member.client_id, f"push {number}")
                self.statuses[status] += 1
                if status in (200, 202):
                    self.taken[member.client_id].append(f"push {number}")

    async def stop(self):
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task

    def missing(self):
        return {
            member.client_id: lost for member in self.everybody
            if (lost := set(self.taken[member.client_id]) - set(member.got))
        }


def seconds_since(start):
    return f"{time.monotonic() - start:.1f} s"
