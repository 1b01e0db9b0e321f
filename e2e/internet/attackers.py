"""What attackers do: each function runs in a process of its own, against one gateway, and gives figures of what it did.

    python3 e2e/internet/attackers.py NAME PUBLIC_PORT CONTROL_PORT      (attack.py does that)
"""

import json
import socket
import struct
import sys
import time

import wire
from websocket import BINARY, CLOSE, PING, frame, handshake

SECONDS = 5  # how long floods last
NO_MASK = b"\0\0\0\0"  # masking with it changes nothing, so that floods cost the attacker little


def dial(port, receive_buffer=None):
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(20)
    sock.connect(("127.0.0.1", port))
    return sock


def read_head(sock):
    """The status of one answer."""
    head = b""
    while b"\r\n\r\n" not in head:
        more = sock.recv(4096)
        if not more:
            raise ConnectionError("closed without an answer")
        head += more
    return int(head.split(b" ")[1])


def in_one_go(sock, requests):
    """Sends all requests, then reads their answers; the statuses in order."""
    sock.sendall(b"".join(requests))
    with sock.makefile("rb") as answers:
        return [read_answer(answers) for _ in requests]


def read_answer(answers):
    """The status of the next answer, whose body is passed over."""
    status, length = int(answers.readline().split(b" ")[1]), 0
    while line := answers.readline().strip():
        if line.lower().startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    answers.read(length)
    return status


def upgrade(port, target, **how):
    """An open WebSocket, or the status of the refusal."""
    sock = dial(port, **how)
    sock.sendall(handshake(target))
    status = read_head(sock)
    if status == 101:
        return sock
    sock.close()
    return status


def is_over(sock):
    """Whether the other side has closed; reads what it said."""
    sock.setblocking(False)
    try:
        while sock.recv(1 << 16):
            pass
        return True
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def slow_heads(public, _control, count=10_000):
    """Connections that send a byte of their head now and then."""
    head = b"GET /slow HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 1000
    open_ones = [dial(public) for _ in range(count)]
    sent, end = 0, time.monotonic() + 20
    while open_ones and time.monotonic() < end:
        for sock in open_ones:
            try:
                sock.send(head[sent : sent + 1])
            except OSError:
                pass  # closed by the gateway; noticed below
        sent += 1
        time.sleep(0.5)
        open_ones = [sock for sock in open_ones if not is_over(sock)]
    return {"opened": count, "not cut off": len(open_ones)}


def slow_readers(public, control, count=1_000):
    """Clients that never read, pushed to until each has been answered 503."""
    sockets = [upgrade(public, f"/reader-{number}", receive_buffer=4096) for number in range(count)]
    line, body = dial(control), b"x" * 32_768
    waiting, taken = set(range(count)), 0
    end = time.monotonic() + 60
    while waiting and time.monotonic() < end:
        # A round must not take so long that the first is given up before it is full.
        some = sorted(waiting)[:10] * 5
        statuses = in_one_go(line, [wire.encode("POST", f"/reader-{number}", body) for number in some])
        assert set(statuses) <= {200, 503, 404}, set(statuses)
        taken += statuses.count(200)
        waiting -= {number for number, status in zip(some, statuses) if status != 200}
    end = time.monotonic() + 20
    while time.monotonic() < end and sockets:
        time.sleep(0.2)
        line.sendall(wire.encode("HEAD", "/reader-0"))
        if read_head(line) == 404:
            break
    return {"pushes taken": taken, "never full": len(waiting)}


def connects(public, _control, count=5_000):
    """More clients than --max-connections, which keep what they get."""
    results = [upgrade(public, f"/connect-{number}") for number in range(count)]
    refused = [result for result in results if isinstance(result, int)]
    return {"tried": count, "let in": count - len(refused), "refused 503": refused.count(503)}


def messages(public, _control):
    """One client that sends without pause and reads nothing that comes back."""
    sock = upgrade(public, "/flooder")
    sock.settimeout(0.5)
    flood, sent = memoryview(frame(BINARY, b"x" * 100, mask=NO_MASK) * 500), 0
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        try:
            sent += sock.send(flood[sent % len(flood) :])
        except TimeoutError:
            pass  # the gateway does not read: that is its defence
    return {"bytes taken": sent}


def fragments(public, _control, count=100):
    """Messages in fragments that never end."""
    piece, over = frame(0, b"x" * 65_536, final=False, mask=NO_MASK), 0
    sockets = [upgrade(public, f"/fragments-{number}") for number in range(count)]
    for sock in sockets:
        sock.sendall(frame(BINARY, b"x", final=False))
    for _ in range(40):
        for sock in sockets:
            try:
                sock.sendall(piece)
            except OSError:
                pass  # cut off; counted below
    end = time.monotonic() + 10
    while sockets and time.monotonic() < end:
        left = [sock for sock in sockets if not is_over(sock)]
        over, sockets = over + len(sockets) - len(left), left
        time.sleep(0.1)
    return {"clients": count, "cut off": over}


def pings(public, _control, count=50):
    """Clients that only ping, with as much as a ping holds or nothing, and do not read the pongs."""
    sockets = [upgrade(public, f"/pings-{number}", receive_buffer=4096) for number in range(count)]
    floods = [memoryview(frame(PING, payload, mask=NO_MASK) * 2000) for payload in (b"x" * 125, b"")]
    for sock in sockets:
        sock.setblocking(False)
    sent = [0] * count
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        for number, sock in enumerate(sockets):
            flood = floods[number % 2]
            try:
                sent[number] += sock.send(flood[sent[number] % len(flood) :])
            except BlockingIOError:
                pass  # the gateway does not read: that is its defence
    return {"bytes taken": sum(sent)}


def close_storm(public, _control, count=5_000):
    """Clients that all leave at once, half of them without a word."""
    sockets = [upgrade(public, f"/storm-{number}") for number in range(count)]
    abrupt = struct.pack("ii", 1, 0)
    for number, sock in enumerate(sockets):
        if number % 2:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, abrupt)
        else:
            sock.sendall(frame(CLOSE, struct.pack("!H", 1000)))
        sock.close()
    return {"left": count}


def ids(public, _control, count=2_000):
    """Ids that weak hash functions put in one place, against random ones: time to connect all of each kind."""
    kinds = {
        "random": [f"{(number * 2654435761) % 2**32:08x}" * 4 for number in range(count)],
        # Pieces that have one value under h = 31 h + c: 31 "A" + "a" = 31 "B" + "B".
        "colliding": ["".join("BB" if number >> bit & 1 else "Aa" for bit in range(12)) for number in range(count)],
        "long": [f"{'x' * 500}{number:05d}" for number in range(count)],
    }
    times = {}
    for kind, names in kinds.items():
        began = time.monotonic()
        sockets = [upgrade(public, "/" + name) for name in names]
        times[kind] = time.monotonic() - began
        assert not any(isinstance(sock, int) for sock in sockets), kind
        for sock in sockets:
            sock.close()
    return {"slower than random ids": round(max(times["colliding"], times["long"]) / times["random"], 2)}


def unknown_pushes(_public, control, count=100_000):
    """Pushes to clients that are not there, each to another one."""
    line, missing = dial(control), 0
    for start in range(0, count, 500):
        line.sendall(b"".join(wire.encode("POST", f"/nobody-{number}", b"x") for number in range(start, start + 500)))
        answers = b""
        while answers.count(b"HTTP/1.1 ") < 500 or not answers.endswith(b"not found"):
            answers += line.recv(1 << 16)
        missing += answers.count(b"HTTP/1.1 404")
    return {"pushes": count, "answered 404": missing}


def endless_answers(public, _control, count=50):
    """Messages to which the API answers without end."""
    sockets = [upgrade(public, f"/endless-{number}") for number in range(count)]
    for _ in range(3):
        for sock in sockets:
            sock.sendall(frame(BINARY, b"endless"))
    time.sleep(SECONDS)
    return {"messages": 3 * count}


ATTACKS = {attack.__name__: attack for attack in (
    slow_heads, slow_readers, connects, messages, fragments, pings, close_storm, ids, unknown_pushes, endless_answers,
)}

if __name__ == "__main__":
    name, public, control = sys.argv[1:]
    print(json.dumps(ATTACKS[name](int(public), int(control))))
