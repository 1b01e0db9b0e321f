"""How requests find their gateway: hashing, what passes the proxy, how long it lets a quiet client be."""

import asyncio
import random
from urllib.parse import quote

from fleet import Fleet
from programs import wait_until
from proxies import ORIGIN
from websocket import Closed, Refused

STRANGE = ["grüße", "日本語", "a b", "a+b", "a!b", "50%", "what?", "no#1", "x;y=z", "(a)", "a&b=c", "~tilde", "quote'\"", "🙂", "a\\b", "..."]
IDS = [f"client-{number}" for number in range(200)] + [f"{name}-{number}" for name in STRANGE for number in range(5)]


def written_out(client_id):
    """Every byte escaped, in lower case: no client does that, but all of it is allowed."""
    return "".join(f"%{byte:02x}" for byte in client_id.encode())


def browser_like(client_id):
    return quote(client_id, safe="!$&'()*+,;=:@-._~")


def api_like(client_id):
    return quote(client_id, safe="")


async def missed(fleet, ids, connect_as, push_as, query="?ticket=secret"):
    """The ids of which a push did not meet the client."""
    sockets = {client_id: await fleet.proxy.connect(f"/{connect_as(client_id)}{query}") for client_id in ids}
    lost = []
    # In another order than they came: else taking turns would look like hashing.
    for client_id, socket in random.Random(len(ids)).sample(list(sockets.items()), len(ids)):
        status = (await fleet.proxy.push("/" + push_as(client_id), b"hello")).status
        assert status in (200, 404), (client_id, status)
        if status == 404:
            lost.append(client_id)
        else:
            await socket.expect("hello")
    shares = [int((await gateway.metrics())["active_connections"]) for gateway in fleet.gateways]
    for socket in sockets.values():
        socket.drop()
    await wait_until("all have left", lambda: not fleet.picture.connected)
    assert sum(shares) == len(ids) and all(share > len(ids) / 10 for share in shares), f"one gateway has them all: {shares}"
    return lost, shares


async def clients_and_pushes_always_meet(binary, directory, kind):
    async with Fleet(binary, directory, kind) as fleet:
        for connect_as, push_as in ((browser_like, api_like), (api_like, browser_like), (browser_like, written_out)):
            lost, shares = await missed(fleet, IDS, connect_as, push_as)
            assert not lost, (connect_as, push_as, lost)
    return f"{len(IDS)} ids, three pairs of spellings, spread {shares}"


async def request_uri_does_not_meet(binary, directory, kind):
    line = "hash $request_uri consistent;"
    async with Fleet(binary, directory, kind, changes=[(kind.BALANCE, line)]) as fleet:
        lost, _ = await missed(fleet, IDS[:100], api_like, api_like)
        assert lost, "a query in the hash should part them"
        spelled, _ = await missed(fleet, IDS[200:], browser_like, written_out, query="")
        same, _ = await missed(fleet, IDS, api_like, api_like, query="")
        assert spelled and not same, (spelled, same)
    return f"{line} loses {len(lost)} of 100 pushes to clients that connected with a query"


request_uri_does_not_meet.only_for = ["nginx"]


async def uri_depth_1_leaves_the_query_out(binary, directory, kind):
    async with Fleet(binary, directory, kind, changes=[(kind.BALANCE, "balance uri depth 1")]) as fleet:
        lost, _ = await missed(fleet, IDS, api_like, api_like)
        assert not lost, lost
        spelled, _ = await missed(fleet, IDS[200:], browser_like, written_out)
        assert spelled, "it hashes what is written"
    return f"met with a query in the same spelling; lost {len(spelled)} of {len(IDS) - 200} in another"


async def uri_whole_has_the_query_in_it(binary, directory, kind):
    async with Fleet(binary, directory, kind, changes=[(kind.BALANCE, "balance uri depth 1 whole")]) as fleet:
        lost, _ = await missed(fleet, IDS[:100], api_like, api_like)
        assert lost
    return f"lost {len(lost)} of 100"


uri_depth_1_leaves_the_query_out.only_for = uri_whole_has_the_query_in_it.only_for = ["haproxy"]


async def origin_cookie_and_address_arrive(binary, directory, kind):
    async with Fleet(binary, directory, kind) as fleet:
        lies = [("X-Forwarded-For", "6.6.6.6"), ("X-Connection-Id", "forged"), ("Cookie", "a=b"), ("Authorization", "Basic eA==")]
        socket = await fleet.proxy.connect("/alice?ticket=1&x=%2F", [ORIGIN, *lies])
        assert await socket.ask("hello") == "hello"
        seen = fleet.picture.requests[-1]
        assert seen.target == "/alice?ticket=1&x=%2F", seen
        for name, value in (ORIGIN, *lies[2:]):
            assert seen.header(name.lower()) == value, seen
        # The client as the proxy sees it, then the proxy as the gateway sees it.
        assert seen.header("x-forwarded-for") == "127.0.0.1, 127.0.0.1", seen
        assert seen.header("x-connection-id") != "forged", seen
        await refused(fleet, 403, "/bob", [("Origin", "https://evil.example")])
        await socket.close()


async def refused(fleet, status, target, headers=()):
    try:
        await fleet.proxy.connect(target, headers)
    except Refused as refusal:
        assert refusal.status == status, (target, refusal)
    else:
        raise AssertionError(f"{target} was let in")


async def clients_reach_no_control_request(binary, directory, kind):
    async with Fleet(binary, directory, kind) as fleet:
        socket = await fleet.proxy.connect("/alice")
        for method, target in (("POST", "/alice"), ("DELETE", "/alice"), ("HEAD", "/alice"), ("GET", "/metrics"), ("GET", "/"), ("GET", "/-/ready")):
            for extra in ((), (("Upgrade", "websocket"), ("Connection", "Upgrade"))):
                answer = await fleet.proxy.request(method, target, extra)
                # The gateway would say 401 or 404 to a push: the proxy comes first.
                refusals = range(400, 500) if method == "GET" else (400, 403, 405, 426)
                assert answer.status in refusals, (method, target, extra, answer)
                assert b"active_connections" not in answer.body, answer
        assert await socket.ask("still here") == "still here"
        await socket.close()


async def quiet_clients_stay_and_dead_ones_are_cut(binary, directory, kind):
    """With the proxy's limit at 2 s: pings keep a client, without them it is cut."""
    for interval, stays in (("500ms", True), ("0", False)):
        flags = ["--ping-interval", interval]
        where = directory.with_name(f"{directory.name}-{interval}")
        async with Fleet(binary, where, kind, flags=flags, changes=[kind.TUNNEL]) as fleet:
            socket = await fleet.proxy.connect("/alice")
            try:
                async with asyncio.timeout(5):
                    await socket.receive()
                raise AssertionError("nobody sent a message")
            except TimeoutError:
                assert stays, "the proxy's limit does not act"
                assert await socket.ask("hello") == "hello"
            except Closed as closed:
                assert not stays and closed.code == 1006, closed
            socket.drop()


CHECKS = [
    clients_and_pushes_always_meet, request_uri_does_not_meet, uri_depth_1_leaves_the_query_out,
    uri_whole_has_the_query_in_it, origin_cookie_and_address_arrive, clients_reach_no_control_request,
    quiet_clients_stay_and_dead_ones_are_cut,
]
