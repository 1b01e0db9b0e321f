"""Paths that a proxy and a gateway could take for different ones, and header lines hidden in ids, queries and headers."""

from urllib.parse import unquote_to_bytes

from proxies import ORIGIN
from websocket import Refused, WebSocket, handshake

# What a client asks for; what the gateway itself answers: a status, or the ClientId that the API is asked about.
PATHS = {
    "//a": 404, "/./a": 404, "/../a": 404, "/a/..": 404, "/a/../b": 404, "/a/": 404, "/..;/a": 404, "/a;/../b": 404,
    "/%2e%2e/a": 404, "/%2e%2e": 400, "/.%2e": 400, "/..": 400, "/.": 400, "/..%2f..%2fa": 400, "/%2e%2e%2fa": 400,
    "/a%2fb": 400, "/%2f": 400, "/%2Fa": 400, "/a%00": 400, "/%00": 400, "/a%0d%0aX-Injected:%20y": 400, "/a%0aX": 400, "/a%0dX": 400,
    "/%c0%ae%c0%ae": 400, "/%c0%af": 400, "/%e0%80%af": 400, "/%ff": 400, "/%ed%a0%80": 400, "/%": 400, "/%zz": 400, "/%u002f": 400,
    "/a%09b": 400, "/%7f": 400, "/%c2%85": 400, "/-": 400, "/%2d": 400, "/": 400,
    "/%252e%252e": b"%2e%2e", "/%252f": b"%2f", "/%2500": b"%00", "/%250d%250a": b"%0d%0a", "/..;": b"..;", "/...": b"...",
    "/a%5cb": b"a\\b", "/..%5cb": b"..\\b", "/%5c..%5c": b"\\..\\", "/a%3fb=c": b"a?b=c", "/a%23b": b"a#b", "/a%26b": b"a&b", "/a%3bb": b"a;b",
    "/a%20b": b"a b", "/a+b": b"a+b", "/A": b"A", "/a%2A": b"a*", "/index.php": b"index.php", "/a.": b"a.", "/a::$DATA": b"a::$DATA",
    "/a|b": b"a|b", "/%E2%80%AE": "\u202e".encode(), "/%EF%BB%BFa": "\ufeffa".encode(), "/a:b@c": b"a:b@c", "/http:": b"http:",
}
# Queries go to the API as they are.
QUERIES = ["x=%0d%0aX-Injected:%20y", "x=%00", "x=%0a%0aGET%20/b", "x=/../b", "x=//b", "x?y", "x=%2f%2e%2e", "&&=", "x=%ff", "x=a;b|c"]
RAW = ["/a\\b", "/a b", "/a\x01", "/a\x7f", "/a\tb", "/a#b", "/a?x#y", "/a?x=\x00", "/a?x=\r\nX-Injected: y", "/a?x=\nX-Injected: y", "/a\r\nX-Injected: y\r\n"]


async def check(place):
    """What is wrong, one line each. Clients come in by the proxy's TLS port, if there is a proxy."""
    wrong = []
    for path, expected in PATHS.items():
        wrong += await check_target(place, path, expected)
    for query in QUERIES:
        wrong += await check_target(place, f"/q?{query}", b"q", query)
    for target in RAW:
        wrong += await check_raw(place, target)
    return wrong


async def connect(place, target, headers=()):
    if place.kind:
        return await place.proxy.connect(target, [ORIGIN, *headers])
    return await WebSocket.connect(place.port, target, headers)


async def ask(place, target):
    """The status, and the requests that the API saw."""
    before = len(place.api.seen)
    try:
        socket = await connect(place, target)
        await socket.close()
        status = 101
    except Refused as refused:
        status = refused.status
    except (ConnectionError, EOFError):
        status = None
    return status, [request for request in place.api.seen[before:] if request.method == "GET"]


async def check_target(place, target, expected, query=None):
    status, seen = await ask(place, target)
    if isinstance(expected, int):
        # A proxy may refuse on its own account.
        good = status == expected if not place.kind else status is None or status >= 400
        if not good or seen:
            return [f"{target}: {status} instead of {expected}; the API saw {seen}"]
        return []
    if place.kind and not seen and status is not None and 400 <= status < 500:
        return []
    if status != 101 or len(seen) != 1:
        return [f"{target}: {status}; the API saw {seen}"]
    path, _, rest = seen[0].target[1:].partition("?")
    if "/" in path or unquote_to_bytes(path) != expected or rest != (query or "") or any(name == "x-injected" for name, _ in seen[0].headers):
        return [f"{target}: the API was asked for {seen[0]}"]
    return []


async def check_raw(place, target):
    """Bytes that no target has: refused, and no line of them becomes a header."""
    before = len(place.api.seen)
    sent = handshake("/RAW").replace(b"/RAW", target.encode("latin-1"))
    answers, _ = await place.exchange(sent)
    seen = [request for request in place.api.seen[before:] if request.method == "GET"]
    if place.kind is None and ([answer.status for answer in answers] != [400] and target != "/a\\b"):
        return [f"{target!r} was answered {answers}"]
    for request in seen:
        if any(name == "x-injected" for name, _ in request.headers) or "/" in request.path[1:]:
            return [f"{target!r}: the API was asked for {request}"]
    return []
