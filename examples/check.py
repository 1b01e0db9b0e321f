#!/usr/bin/env python3
"""Runs every example API for real and checks that they all behave the same.

    python3 examples/check.py target/debug/ws2http-tokio      # also with the gateway and WebSocket clients
    python3 examples/check.py --without-gateway               # only plain HTTP, as the gateway would send it

Needs php, php-fpm, php-nyholm-psr7, nginx and node. Prints `N passed, M failed`; the exit code is 0 only if none failed.
"""

import argparse
import pathlib
import signal
import sys
import tempfile
import traceback

from check_client import Api, Closed, PushTarget, Refused, WebSocket
from check_servers import STARTERS, end, end_all, free_port, start_gateway, wait, wait_for_output

TICKET, TOKEN = "let-me-in", "only-the-api-knows"
QUERY = f"?ticket={TICKET}"
STRANGE = "böb & 1%+?#"  # a ClientId that only survives if it is encoded and decoded exactly once
PICTURE = bytes(range(256)) * 300  # over 64 KiB, no UTF-8
UNICODE = "grüße 🙂\n\0 ok"


def equal(actual, expected):
    assert actual == expected, f"{actual!r} instead of {expected!r}"


# Plain HTTP, straight to the API: World has `api`, `pushes` (a PushTarget) and `log` (a Program).


def http_connect_and_message(world):
    equal(world.api.connect("alice", "1"), (200, "ok"))
    equal(world.api.text("alice", "1", "hello"), "hello alice")
    equal(world.api.text("alice", "1", UNICODE), f"you said: {UNICODE}")
    equal(world.api.text("alice", "1", "quiet"), "")
    equal(world.api.text("alice", "1", ""), "you said: ")


def http_binary(world):
    octets = "application/octet-stream"
    equal(world.api.call("POST", "alice", "1", PICTURE, Content_Type=octets), (200, octets, PICTURE))
    equal(world.api.call("POST", "alice", "1", b"hello", Content_Type=octets), (200, octets, b"hello"))


def http_client_ids(world):
    for client_id in (STRANGE, "7", "0", "__proto__", "index.php"):
        equal(world.api.connect(client_id, "1"), (200, "ok"))
        equal(world.api.text(client_id, "1", "hello"), f"hello {client_id}")
        assert client_id in online(world.api.text(client_id, "1", "who")), client_id
        world.api.disconnect(client_id, "1")
        assert client_id not in online(world.api.text("alice", "1", "who")), client_id


def http_refusal(world):
    status, text = world.api.connect("banned-bob", "1")
    assert status < 300 and "banned" in text, (status, text)
    assert "banned-bob" not in online(world.api.text("alice", "1", "who"))


def http_push(world):
    world.pushes.pushes.clear()
    equal(world.api.text("alice", "1", "@bob hi there"), "sent")
    equal(world.api.text("alice", "1", "@böb%20 ß\nx"), "sent")
    equal(world.api.text("alice", "1", "@slow hi"), "slow could not be reached (503)")
    equal(world.api.text("alice", "1", "@nobody hi"), "nobody is not connected")
    kind = "text/plain; charset=utf-8"
    equal(world.pushes.pushes, [
        ("bob", kind, None, "alice: hi there"), ("böb%20", kind, None, "alice: ß\nx"),
        ("slow", kind, None, "alice: hi"), ("nobody", kind, None, "alice: hi"),
    ])


def http_push_without_gateway(world):
    world.pushes.close()
    equal(world.api.text("alice", "1", "@bob hi"), "bob could not be reached (0)")


def http_late_and_repeated_disconnect(world):
    world.api.connect("carol", "old")
    world.api.connect("carol", "new")
    world.api.disconnect("carol", "old", "1008", "replaced")
    equal(world.api.text("carol", "new", "who"), "alice, carol")
    for _ in range(2):
        world.api.disconnect("carol", "new", "1006", "EOF")
    equal(world.api.text("alice", "1", "who"), "alice")
    wait_for_output(world.log, 'carol left: 1006 "EOF"')


HTTP_CHECKS = [
    http_connect_and_message, http_binary, http_client_ids, http_refusal, http_push,
    http_late_and_repeated_disconnect, http_push_without_gateway,
]


# WebSocket clients through the gateway: World has `port`, `gateway` and `log` (Programs).


def connect(world, client_id):
    return WebSocket(world.port, client_id, QUERY)


def ws_messages(world):
    alice = connect(world, "alice")
    equal(alice.ask("hello"), "hello alice")
    equal(alice.ask(UNICODE), f"you said: {UNICODE}")
    equal(alice.ask(PICTURE), PICTURE)
    alice.send("quiet")
    equal(alice.ask("hello"), "hello alice")
    alice.close()


def ws_strange_client_id(world):
    strange = connect(world, STRANGE)
    equal(strange.ask("hello"), f"hello {STRANGE}")
    equal(strange.ask("who"), STRANGE)
    strange.close()


def ws_push(world):
    alice, bob = connect(world, "alice"), connect(world, "bob")
    equal(alice.ask("@bob hi"), "sent")
    equal(bob.receive(), "alice: hi")
    equal(bob.ask(f"@alice {UNICODE}"), "sent")
    equal(alice.receive(), f"bob: {UNICODE}")
    equal(alice.ask("@carol hi"), "carol is not connected")
    equal(alice.ask("@alice note"), "alice: note")  # the push was queued before the answer
    equal(alice.receive(), "sent")
    bob.close()
    equal(alice.ask("@bob hi"), "bob is not connected")
    alice.close()


def ws_refusals(world):
    for client_id, query, status, text in (("banned-bob", QUERY, 403, "banned"), ("bob", "?ticket=no", 401, "ticket"), ("bob", "", 401, "ticket")):
        try:
            WebSocket(world.port, client_id, query).drop()
        except Refused as refused:
            assert refused.status == status and text in refused.text, refused
        else:
            raise AssertionError(f"{client_id}{query} was let in")


def ws_disconnects_and_reconnect(world):
    alice, bob = connect(world, "alice"), connect(world, "bob")
    equal(alice.ask("who"), "alice, bob")
    bob.close(4000, "going home")  # its close frame is answered only after the API has seen it
    equal(alice.ask("who"), "alice")
    wait_for_output(world.log, 'bob left: 4000 "going home"')
    bob = connect(world, "bob")
    equal(bob.ask("who"), "alice, bob")
    bob.drop()
    wait("the API hears of the lost connection", lambda: alice.ask("who") == "alice")
    wait_for_output(world.log, "bob left: 1006 ")
    alice.close()


def ws_replaced_connection_stays_on_the_list(world):
    old = connect(world, "alice")
    new = connect(world, "alice")
    try:
        late = old.receive()
    except Closed as closed:
        equal((closed.code, closed.reason), (1008, "replaced"))
    else:
        raise AssertionError(f"{late!r} instead of a close")
    old.drop()
    equal(new.ask("who"), "alice")
    wait_for_output(world.log, 'alice left: 1008 "replaced"')
    new.close()


def ws_push_needs_the_token(world):
    alice = connect(world, "alice")
    outsider = Api(world.port)
    equal(outsider.call("POST", "alice", "none", b"spam")[0], 401)
    outsider.close()
    equal(alice.ask("hello"), "hello alice")
    alice.close()


def ws_gateway_ends(world):
    last = connect(world, "last")
    code = end(world.gateway, signal.SIGTERM)
    equal(code, 0)
    try:
        late = last.receive()
    except Closed as closed:
        equal(closed.code, 1001)
    else:
        raise AssertionError(f"{late!r} instead of a close")
    last.drop()
    wait_for_output(world.log, "last left: 1001 ")


WS_CHECKS = [
    ws_messages, ws_strange_client_id, ws_push, ws_refusals, ws_disconnects_and_reconnect,
    ws_replaced_connection_stays_on_the_list, ws_push_needs_the_token, ws_gateway_ends,
]


def online(who):
    return who.split(", ")


class World:
    def __init__(self, name):
        self.name = name


class Tally:
    """Runs checks, prints one line for each, counts."""

    def __init__(self):
        self.passed = self.failed = 0

    def run(self, name, check, *arguments):
        try:
            check(*arguments)
        except Exception:  # whatever goes wrong is this check's failure; the others go on
            self.failed += 1
            print(f"FAILED {name}\n{traceback.format_exc()}")
            return False
        self.passed += 1
        print(f"ok     {name}")
        return True


def check_over_http(tally, language, directory):
    world, api_port, push_port = World(language), free_port(), free_port()

    def start():
        world.pushes = PushTarget(push_port, {"bob": 200, "böb%20": 202, "slow": 503})
        world.log = STARTERS[language](directory, api_port, {"WS2HTTP_GATEWAY": f"http://127.0.0.1:{push_port}"})
        world.api = Api(api_port)

    run_all(tally, f"{language}: http", start, HTTP_CHECKS, world)


def check_with_gateway(tally, language, directory, binary):
    world, api_port = World(language), free_port()
    world.port = free_port()
    token = {"WS2HTTP_CONTROL_TOKEN": TOKEN}

    def start():
        environment = {**token, "API_TICKET": TICKET, "WS2HTTP_GATEWAY": f"http://127.0.0.1:{world.port}"}
        world.log = STARTERS[language](directory, api_port, environment)
        world.gateway = start_gateway(binary, directory, world.port, api_port, token)

    run_all(tally, f"{language}: {binary.name}", start, WS_CHECKS, world)


def run_all(tally, prefix, start, checks, world):
    """Without its servers every check counts as failed."""
    before = tally.failed
    if tally.run(f"{prefix}: start", start):
        for check in checks:
            tally.run(f"{prefix}: {check.__name__}", check, world)
    else:
        tally.failed += len(checks)
    if tally.failed > before:
        for program in filter(None, (getattr(world, "log", None), getattr(world, "gateway", None))):
            print(f"--- {program.name}\n{program.output()}---")
    end_all()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", nargs="*", type=pathlib.Path, help="gateway binaries to check with")
    parser.add_argument("--without-gateway", action="store_true", help="plain HTTP only")
    parser.add_argument("--only", choices=STARTERS, action="append", help="only this example (repeatable)")
    arguments = parser.parse_args()
    if bool(arguments.binary) == arguments.without_gateway:
        parser.error("give the gateway's binary, or --without-gateway")
    for binary in arguments.binary:
        if not binary.is_file():
            parser.error(f"{binary} is not there: build it first")

    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    tally = Tally()
    try:
        for language in arguments.only or STARTERS:
            with tempfile.TemporaryDirectory() as directory:
                check_over_http(tally, language, pathlib.Path(directory))
            for binary in arguments.binary:
                with tempfile.TemporaryDirectory() as directory:
                    check_with_gateway(tally, language, pathlib.Path(directory), binary.resolve())
    finally:
        end_all()
    print(f"{tally.passed} passed, {tally.failed} failed")
    sys.exit(1 if tally.failed else 0)


if __name__ == "__main__":
    main()
