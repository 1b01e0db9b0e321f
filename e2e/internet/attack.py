#!/usr/bin/env python3
"""Attacks a gateway in ten ways while other clients use it, and holds it to bounds.

    python3 e2e/internet/attack.py target/release/ws2http-tokio
    python3 e2e/internet/attack.py target/release/ws2http-tokio --only slow_readers

Per attack: resident memory before, at its peak and after; how long other clients wait for an echo before and during; what
the attackers got; what the metrics show. Exit code 1 if a bound is broken. Needs 12,000 descriptors per process.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import json
import pathlib
import re
import resource
import statistics
import sys
import time

from attackers import ATTACKS
from gateway import Gateway
from programs import Program, binary_argument, wait_until, workspace
from websocket import WebSocket

HERE = pathlib.Path(__file__).resolve().parent
MIB = 1 << 20
OTHERS = 10  # clients that are measured
LONGEST = 1_000  # ms that 99 of 100 echoes of others may take during an attack, on a machine that also runs the attackers
SPARE = 24  # MiB for allocator, buffers in passing and the others


@dataclasses.dataclass
class Bound:
    """What must hold for one attack. `peak` is in MiB beyond what was there before, `SPARE` not counted."""

    peak: float
    got: dict  # of what attackers say: exact values, or functions of the value
    shows: dict  # how much a metric must have grown by, at least
    flags: str = ""
    libcurl: float = 0  # MiB more where libcurl makes the calls to the API: it holds about 38 KiB for each


at_most = lambda limit: lambda value: value <= limit
BOUNDS = {
    "slow_heads": Bound(10_000 * 2 / 1024, {"not cut off": 0}, {'ws2http_refusals_total{reason="timeout"}': 10_000}, "--handshake-timeout 3s"),
    # A queue may hold one message more than its limit.
    "slow_readers": Bound(1_000 * (64 + 32) / 1024, {"never full": 0}, {'ws2http_pushes_total{result="full"}': 900, 'ws2http_closes_total{code="1006"}': 1_000}, "--send-queue 64KiB --send-timeout 10s"),
    "connects": Bound(2, {"let in": 500 - OTHERS, "refused 503": 4_500 + OTHERS}, {'ws2http_refusals_total{reason="capacity"}': 4_500 + OTHERS}, "--max-connections 500"),
    "messages": Bound(4, {}, {'ws2http_messages_received_total{type="binary"}': 100}),
    "fragments": Bound(100, {"cut off": 100}, {'ws2http_closes_total{code="1009"}': 100}),
    # --send-queue bounds what waits, and what holds it.
    "pings": Bound(50 * 1, {}, {}),
    # Each DELETE may have a connection to the API of its own (--max-api-connections).
    "close_storm": Bound(5_000 * 20 / 1024, {}, {"connections_closed": 5_000}),
    "ids": Bound(2_000 * 20 / 1024, {"slower than random ids": at_most(4)}, {"connections_closed": 6_000}, libcurl=2_000 * 18 / 1024),
    "unknown_pushes": Bound(2, {"answered 404": 100_000}, {'ws2http_pushes_total{result="not_found"}': 100_000}),
    "endless_answers": Bound(50 * 2, {}, {"requests_failed": 50}),
}


class Others:
    """Clients that ask for an echo over and over."""

    @classmethod
    async def connect(cls, port):
        others = cls()
        others.waits, others.failed = [], []
        sockets = [await WebSocket.connect(port, f"/other-{number}") for number in range(OTHERS)]
        others.tasks = [asyncio.create_task(others._ask(socket)) for socket in sockets]
        return others

    async def _ask(self, socket):
        while True:
            began = time.monotonic()
            try:
                answer = await socket.ask(b"hello")
                assert answer == b"hello", answer
            except Exception as error:
                self.failed.append(repr(error))
                return
            self.waits.append(time.monotonic() - began)
            await asyncio.sleep(0.02)

    def take(self):
        """The median and the 99th percentile since the last time, in milliseconds."""
        waits, self.waits = sorted(self.waits), []
        if len(waits) < 20:  # nobody was served
            return float("inf"), float("inf")
        return 1000 * statistics.median(waits), 1000 * waits[len(waits) * 99 // 100]

    async def stop(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


def peak(gateway):
    status = pathlib.Path(f"/proc/{gateway.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) / 1024


async def attack(name, gateway, directory):
    """Runs the attackers to their end; gives what they say."""
    command = ["nice", "-n", "10", sys.executable, HERE / "attackers.py", name, gateway.public, gateway.control]
    attackers = Program("attackers", command, directory)
    code = await attackers.exit_code(300)
    assert code == 0, f"the attackers failed:\n{attackers.output()}"
    return json.loads(attackers.output().splitlines()[-1])


async def settled(gateway):
    """Until the attackers are gone for the gateway too."""

    async def check():
        figures = await gateway.metrics()
        quiet = figures["ws2http_disconnects_pending"] == 0 and figures["active_connections"] == OTHERS
        return figures if quiet else None

    return await wait_until("the attackers are gone", check, 30)


def growth(before, after):
    return {name: after[name] - before[name] for name in before if name in after and after[name] != before[name]}


def broken(bound, told, figures, memory, waits, others):
    """The bounds that do not hold, in words."""
    before, at_peak, after = memory
    if at_peak - before > bound.peak + SPARE:
        yield f"memory grew by {at_peak - before:.0f} MiB, not {bound.peak + SPARE:.0f} at most"
    if after - before > SPARE:
        yield f"{after - before:.0f} MiB were not given back"
    if waits[1][1] > LONGEST:
        yield f"others waited up to {waits[1][1]:.0f} ms, not {LONGEST} at most"
    if others.failed:
        yield f"others failed: {others.failed[0]}"
    for key, limit in bound.got.items():
        if not (limit(told[key]) if callable(limit) else told[key] == limit):
            yield f"{key}: {told[key]}"
    for key, least in bound.shows.items():
        if figures.get(key, 0) < least:
            yield f"{key} grew by {figures.get(key, 0):.0f}, not by {least}"


async def run_attack(name, binary, directory):
    bound = BOUNDS[name]
    directory.mkdir()
    api = Program("api", [sys.executable, "-u", HERE / "attack_api.py"], directory)
    port = await api.ready("the API starts", lambda: re.search(r"port (\d+)\n", api.output()))
    flags = ["--control-listen", "127.0.0.1:0", *bound.flags.split()]
    gateway = await Gateway.start(binary, directory, f"http://127.0.0.1:{port[1]}/", *flags)
    others = await Others.connect(gateway.public)
    await asyncio.sleep(2)
    before, figures = gateway.resident() / MIB, await gateway.metrics()
    if any('runtime="smol"' in name for name in figures):
        bound = dataclasses.replace(bound, peak=bound.peak + bound.libcurl)
    waits = [others.take()]
    told = await attack(name, gateway, directory)
    waits.append(others.take())
    after = growth(figures, await settled(gateway))
    with contextlib.suppress(AssertionError):  # judged below
        await wait_until("memory is given back", lambda: gateway.resident() / MIB - before < SPARE / 2, 15)
    memory = before, peak(gateway), gateway.resident() / MIB
    wrong = list(broken(bound, told, after, memory, waits, others))
    print_row(name, memory, waits, told, after, bound, wrong)
    await others.stop()
    for program in (gateway, api):
        program.kill()
    return not wrong


def print_row(name, memory, waits, told, after, bound, wrong):
    cells = [f"{value:6.1f}" for value in memory] + [f"{bound.peak + SPARE:6.0f}"]
    cells += [f"{median:5.1f} /{high:6.1f}" for median, high in waits]
    print(f"{name:<16}{' '.join(cells)}  {', '.join(f'{key}: {value}' for key, value in told.items())}")
    for key in bound.shows:
        print(f"{'':<16}  {key} +{after.get(key, 0):.0f}")
    for line in wrong:
        print(f"{'':<16}  BROKEN: {line}")
    sys.stdout.flush()


async def run(binary, directory, names):
    print(f"{'':<16}memory in MiB: before, peak, after, growth allowed; others' echo in ms, median / 99 %: before, during")
    results = [await run_attack(name, binary, directory / name) for name in names]
    print(f"{sum(results)} held, {len(results) - sum(results)} broken")
    return all(results)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    binary_argument(parser)
    parser.add_argument("--only", choices=ATTACKS, nargs="+", default=list(ATTACKS), help="only these attacks")
    arguments = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < 12_000:
        sys.exit(f"one process may open {hard} descriptors here; 12,000 are needed (ulimit -n)")
    with workspace() as directory:
        passed = asyncio.run(run(arguments.binary, directory, arguments.only))
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
