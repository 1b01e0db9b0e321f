"""Gateways that are killed, drained, and started again, and what becomes of the clients."""

import asyncio
import signal
import time
from urllib.parse import quote

from fleet import Fleet, Traffic, members, seconds_since
from programs import wait_until
from proxies import TOKEN

COUNT = 60
FAST = ["--drain", "1s", "--close-timeout", "1s", "--ping-interval", "500ms"]


async def share(fleet, gateway, everybody):
    """The members that are connected to this gateway."""
    return [member for member in everybody if await fleet.on(gateway, member.client_id)]


async def all_meet(fleet, everybody):
    async def check():
        for member in everybody:
            if not member.socket or not await fleet.meets(member.client_id):
                return False
        return True

    await wait_until("every push meets its client", check)


async def nothing_is_left(fleet, gateways):
    await wait_until("the API's picture is empty", lambda: not fleet.picture.connected)
    for gateway in gateways:
        figures = await gateway.metrics()
        for name in ("active_connections", "ws2http_disconnects_pending", "ws2http_api_calls_in_flight", "ws2http_disconnects_lost_total"):
            assert figures[name] == 0, (name, figures[name])
    repeated = {connection: count for connection, count in fleet.picture.deletes.items() if count > 1}
    assert not repeated, f"more than one DELETE: {repeated}"


async def killed(binary, directory, kind):
    async with Fleet(binary, directory, kind, flags=FAST) as fleet:
        async with members(fleet, COUNT) as everybody:
            victim, *others = fleet.gateways
            cut = await share(fleet, victim, everybody)
            gone = next(member for member in cut)
            before = dict(fleet.picture.connected)
            assert 0 < len(cut) < COUNT
            began = time.monotonic()
            gone.task.cancel()  # it never comes back: the DELETE that a killed gateway owes is never sent
            victim.kill()
            stay = [member for member in everybody if member is not gone]
            await all_meet(fleet, stay)
            took = seconds_since(began)
            for member in cut[1:]:
                assert fleet.picture.connected[member.client_id] != before[member.client_id], "a new connection"
            for member in stay:
                assert member in cut or not member.codes, "who was elsewhere noticed nothing"
            assert fleet.picture.deletes.total() == 0
            gone.socket = None
        assert fleet.picture.connected == {gone.client_id: before[gone.client_id]}, "the one that nobody could report"
        assert (await fleet.proxy.push("/" + gone.client_id, b"", "HEAD")).status == 404, "asking tells the API"
        del fleet.picture.connected[gone.client_id]
        await nothing_is_left(fleet, others)
    return f"{len(cut)} of {COUNT} clients moved, all met again after {took}"


async def drained_under_traffic(binary, directory, kind):
    async with Fleet(binary, directory, kind, flags=FAST) as fleet:
        async with members(fleet, COUNT) as everybody:
            victim, *others = fleet.gateways
            cut = await share(fleet, victim, everybody)
            before = dict(fleet.picture.connected)
            traffic = Traffic(fleet, everybody)
            await wait_until("traffic", lambda: traffic.statuses[200] > COUNT)
            victim.signal(signal.SIGTERM)
            assert await victim.exit_code() == 0, victim.output()
            await all_meet(fleet, everybody)
            await traffic.stop()
            for member in cut:
                assert member.codes and set(member.codes) <= {1001}, member.codes
                assert fleet.picture.deletes[before[member.client_id]] == 1, "its DELETE arrived"
            await wait_until("every push that was answered ok has arrived", lambda: not traffic.missing())
            assert set(traffic.statuses) <= {200, 202, 404, 502, 503}, traffic.statuses
        await nothing_is_left(fleet, others)
    return f"{len(cut)} of {COUNT} clients moved; pushes were answered {dict(traffic.statuses)}, none was lost"


async def started_again_and_swept(binary, directory, kind):
    """A gateway that joins takes ids over whose clients are elsewhere, until they are sent there."""
    async with Fleet(binary, directory, kind, flags=FAST) as fleet:
        async with members(fleet, COUNT) as everybody:
            first = fleet.gateways[0]
            first.kill()
            await all_meet(fleet, everybody)
            fleet.gateways[0] = await fleet.start_gateway(like=first)
            moved = await wait_until("ids move to the gateway that joined", lambda: unreached(fleet, everybody))
            assert all(member.socket for member in everybody), "but their clients stay where they are"
            await asyncio.sleep(1)  # the proxy is settled
            moved = await unreached(fleet, everybody)
            await sweep(fleet, everybody)
            await all_meet(fleet, everybody)
            owners = len(await share(fleet, fleet.gateways[0], everybody))
            assert owners >= len(moved), (owners, moved)
            for member in everybody:
                assert member in moved or 4000 not in member.codes, "who had not moved was left alone"
        await nothing_is_left(fleet, fleet.gateways)
    return f"{len(moved)} of {COUNT} ids moved and were not reached until they were kicked"


async def unreached(fleet, everybody):
    return [member for member in everybody if (await fleet.proxy.push("/" + member.client_id, None, "HEAD")).status == 404]


async def sweep(fleet, everybody):
    """What an API does after a gateway has joined: whom it cannot reach through the proxy, it kicks everywhere."""
    for member in await unreached(fleet, everybody):
        for gateway in fleet.gateways:
            target = f"/{quote(member.client_id, safe='')}?code=4000&reason=moved"
            answer = await gateway.control_request("DELETE", target, TOKEN)
            assert answer.status in (200, 404), answer


CHECKS = [killed, drained_under_traffic, started_again_and_swept]
