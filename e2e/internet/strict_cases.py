"""Requests that two readers may understand differently: what is sent, and what the gateway itself must answer.

Each holds a second request in what could be its body, a push without the token. If that ever runs, somebody disagreed on
where the first one ends.
"""

import dataclasses

from websocket import handshake

AUTH = b"Authorization: Bearer only-the-api-knows\r\n"
INNER = b"POST /victim HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\ncanary"
REFUSED = (400,)
CODING = (400, 501)


@dataclasses.dataclass
class Case:
    name: str
    sent: bytes
    answers: list  # of the gateway itself: for each answer the statuses that it may have
    closed: bool = True  # whether the gateway then closes
    methods: tuple = ()  # of the requests, where an answer to HEAD is among those expected


def post(headers, body=b"", line=b"POST /victim HTTP/1.1"):
    return line + b"\r\nHost: x\r\n" + AUTH + headers + b"\r\n" + body


def lengths():
    zero = b"0\r\n\r\n" + INNER
    both = b"Content-Length: %d\r\n" % len(zero)
    refused = {
        "CL.TE": both + b"Transfer-Encoding: chunked\r\n",
        "TE.CL": b"Transfer-Encoding: chunked\r\n" + both,
        "TE.CL, short": b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "CL.TE, empty": b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        "two lengths": b"Content-Length: 5\r\n" + both,
        "two lengths, reversed": both + b"Content-Length: 5\r\n",
        "two equal lengths": both + both,
        "two lengths in one line": b"Content-Length: 5, %d\r\n" % len(zero),
        "two equal lengths in one line": b"Content-Length: 5, 5\r\n",
        "length with a plus": b"Content-Length: +5\r\n",
        "negative length": b"Content-Length: -1\r\n",
        "hexadecimal length": b"Content-Length: 0x5\r\n",
        "length with a space": b"Content-Length: 5 0\r\n",
        "length with a letter": b"Content-Length: 5x\r\n",
        "length with a NUL": b"Content-Length: 5\0\r\n",
        "empty length": b"Content-Length: \r\n",
        "length with a point": b"Content-Length: 5.0\r\n",
        "length that wraps to 5": b"Content-Length: 18446744073709551621\r\n",
        "length of 40 digits": b"Content-Length: " + b"9" * 40 + b"\r\n",
        "length, space before the colon": b"Content-Length : %d\r\n" % len(zero),
        "length, tab before the colon": b"Content-Length\t: %d\r\n" % len(zero),
        "length after a fold": b"X: y\r\n Content-Length: %d\r\n" % len(zero),
        "length after a bare LF": b"X: y\nContent-Length: %d\r\n" % len(zero),
        "length after a bare CR": b"X: y\rContent-Length: %d\r\n" % len(zero),
        "folded length": b"Content-Length:\r\n %d\r\n" % len(zero),
        "coding, space before the colon": both + b"Transfer-Encoding : chunked\r\n",
        "coding after a bare LF": both + b"X: y\nTransfer-Encoding: chunked\r\n",
        "coding after a bare CR": both + b"X: y\rTransfer-Encoding: chunked\r\n",
        "folded coding": both + b"Transfer-Encoding:\r\n chunked\r\n",
        "coding after a space": both + b" Transfer-Encoding: chunked\r\n",
        "coding with a NUL": both + b"Transfer-Encoding: chunked\0\r\n",
        "name with a NUL": both + b"Transfer-Encoding\0: chunked\r\n",
    }
    codings = {
        "xchunked": b"xchunked", "chunked, then gzip": b"chunked, gzip", "gzip, then chunked": b"gzip, chunked",
        "chunked twice": b"chunked, chunked", "chunked, then identity": b"chunked, identity", "identity": b"identity",
        "chunked with a parameter": b"chunked;q=1", "quoted": b'"chunked"', "vertical tab": b"\x0bchunked",
        "no-break space": b"\xa0chunked", "empty": b"", "comma": b",", "chunked with a comma before": b",chunked;",
        "letters after": b"chunkedx",
    }
    for name, headers in refused.items():
        yield Case(name, post(headers, zero), [REFUSED])
    for name, coding in codings.items():
        yield Case(f"coding {name}", post(b"Transfer-Encoding: " + coding + b"\r\n", zero), [CODING])
    yield Case("two codings", post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", zero), [CODING])
    yield Case("two codings, reversed", post(b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n", zero), [CODING])
    yield Case("coding in HTTP/1.0", post(b"Transfer-Encoding: chunked\r\n", zero, b"POST /victim HTTP/1.0"), [REFUSED])
    yield Case("length over the limit", post(b"Content-Length: 4294967301\r\n", zero), [(413,)])


def chunks():
    bodies = {
        "size with a plus": b"+5\r\nhello\r\n0\r\n\r\n", "negative size": b"-5\r\nhello\r\n0\r\n\r\n", "0x size": b"0x5\r\nhello\r\n0\r\n\r\n",
        "size after a space": b" 5\r\nhello\r\n0\r\n\r\n", "size with LF": b"5\nhello\r\n0\r\n\r\n", "size with CR": b"5\rhello\r\n0\r\n\r\n",
        "size of 2^64": b"10000000000000000\r\nhello\r\n0\r\n\r\n", "size that wraps to 5": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
        "no size": b"\r\nhello\r\n0\r\n\r\n", "size that is none": b"five\r\nhello\r\n0\r\n\r\n", "size with _": b"1_0\r\nhello\r\n0\r\n\r\n",
        "chunk too long": b"5\r\nhello, world\r\n0\r\n\r\n", "chunk without its end": b"5\r\nhello0\r\n\r\n", "chunk ends in LF": b"5\r\nhello\n0\r\n\r\n",
        "chunk ends in two": b"5\r\nhelloXX0\r\n\r\n", "LF in an extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n", "CR in an extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
        "extension ends in LF": b"5;a\nhello\r\n0\r\n\r\n", "NUL in an extension": b"5;a\0\r\nhello\r\n0\r\n\r\n",
        "last chunk ends in LF": b"0\n\r\n", "end in LF": b"0\r\n\n", "trailer that is none": b"0\r\nnothing\r\n\r\n",
        "folded trailer": b"0\r\nX: y\r\n z\r\n\r\n", "LF in a trailer": b"0\r\nX: y\nContent-Length: 5\r\n\r\n",
        "space before a trailer's colon": b"0\r\nX : y\r\n\r\n", "last chunk with a plus": b"+0\r\n\r\n",
    }
    for name, body in bodies.items():
        yield Case(f"chunked: {name}", post(b"Transfer-Encoding: chunked\r\n", body + INNER), [(400, 413)])


def heads():
    end = b"Content-Length: 0\r\n\r\n" + INNER
    start = b"POST /victim HTTP/1.1\r\nHost: x\r\n" + AUTH
    refused = {
        "LF everywhere": start.replace(b"\r\n", b"\n") + b"Content-Length: 0\n\n" + INNER,
        "head ends in LF": start + b"Content-Length: 0\r\n\n" + INNER,
        "head ends in CR": start + b"Content-Length: 0\r\n\r" + INNER,
        "bare CR in a value": start + b"X: a\rb\r\n" + end,
        "NUL in a value": start + b"X: a\0b\r\n" + end,
        "fold": start + b"X: a\r\n b\r\n" + end,
        "fold before the first header": b"POST /victim HTTP/1.1\r\n Host: x\r\n" + AUTH + end,
        "empty name": start + b": x\r\n" + end,
        "no colon": start + b"nothing\r\n" + end,
        "space in a name": start + b"X Y: z\r\n" + end,
        "no host": b"POST /victim HTTP/1.1\r\n" + AUTH + end,
        "two hosts": start + b"Host: y\r\n" + end,
        "host with a path": start.replace(b"Host: x", b"Host: x/y") + end,
        "host with a space": start.replace(b"Host: x", b"Host: x y") + end,
        "HTTP/0.9": b"GET /victim\r\n\r\n" + INNER,
        "two spaces": start.replace(b"POST ", b"POST  ", 1) + end,
        "tab for a space": start.replace(b"POST ", b"POST\t", 1) + end,
        "space after the version": start.replace(b"1.1\r\n", b"1.1 \r\n", 1) + end,
        "space before the method": b" " + start + end,
        "space in the target": start.replace(b"/victim", b"/vic tim", 1) + end,
        "request line in the target": b"POST /victim HTTP/1.1\rHost: x HTTP/1.1\r\n" + end,
        "authority form": b"POST x:80 HTTP/1.1\r\nHost: x\r\n" + AUTH + end,
        "CONNECT": b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n" + AUTH + end,
        "asterisk": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n" + AUTH + end,
        "POST asterisk": b"POST * HTTP/1.1\r\nHost: x\r\n" + AUTH + end,
        "other scheme": b"POST ftp://x/victim HTTP/1.1\r\nHost: x\r\n" + AUTH + end,
        "absolute form with a user": b"POST http://u@x/victim HTTP/1.1\r\nHost: x\r\n" + AUTH + end,
        "fragment": start.replace(b"/victim", b"/victim#x", 1) + end,
        "NUL in the target": start.replace(b"/victim", b"/vic\0tim", 1) + end,
        "CR in the target": start.replace(b"/victim", b"/vic\rtim", 1) + end,
        "LF in the target": start.replace(b"/victim", b"/vic\ntim", 1) + end,
        "name with bytes over 127": start + b"X\xff: y\r\n" + end,
        "many empty lines before": b"\r\n" * 40 + start + end,
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + INNER,
    }
    for name, sent in refused.items():
        yield Case(name, sent, [REFUSED])
    versions = {"HTTP/2.0": b"2.0", "HTTP/1.2": b"1.2", "HTTP/0.9, said so": b"0.9", "HTTP/9.9": b"9.9"}
    for name, version in versions.items():
        yield Case(name, start.replace(b"HTTP/1.1", b"HTTP/" + version, 1) + end, [(400, 505)])
    yield Case("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + INNER, [(400, 505)])
    yield Case("17,000 bytes of one header", start + b"X: " + b"x" * 17_000 + b"\r\n" + end, [(431,)])
    yield Case("120 headers", start + b"X: y\r\n" * 120 + end, [(431,)])
    yield Case("target of 9,000 bytes", start.replace(b"/victim", b"/victim?" + b"x" * 9_000, 1) + end, [(414,)])


def sequences():
    """Well-formed, or broken in one place: what comes after must still be told apart."""
    ok, unauthorised = (200,), (401,)
    chunked, hello = b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n"
    length = b"Content-Length: %d\r\n" % len(INNER)
    # The second request is one that everybody sees; without the token it is refused, and the connection goes on.
    for name, sent in {
        "plain pipelining": post(b"Content-Length: 5\r\n", b"hello"),
        "leading zeros": post(b"Content-Length: 0000000005\r\n", b"hello"),
        "tab after the colon": post(b"Content-Length:\t5\r\n", b"hello"),
        "chunked": post(chunked, hello),
        "CHUNKED": post(b"transfer-encoding: CHUNKED\r\n", hello),
        "chunk extension": post(chunked, b'5;name="va;l=ue"\r\nhello\r\n0;last\r\n\r\n'),
        "leading zeros of a size": post(chunked, b"000000005\r\nhello\r\n000\r\n\r\n"),
        "trailers": post(chunked, b"5\r\nhello\r\n0\r\nContent-Length: 3\r\nHost: y\r\n\r\n"),
        "absolute form, another host": post(b"Content-Length: 5\r\n", b"hello", b"POST http://y/victim HTTP/1.1"),
        "underscores": post(b"Content-Length: 5\r\nTransfer_Encoding: chunked\r\nContent_Length: 50\r\n", b"hello"),
        "one empty line before": b"\r\n" + post(b"Content-Length: 5\r\n", b"hello"),
    }.items():
        yield Case(name, sent + INNER, [ok, unauthorised], closed=False)
    yield Case("a body that is a request", post(length, INNER), [ok], closed=False)
    yield Case("HEAD with a body", post(length, INNER, b"HEAD /victim HTTP/1.1"), [(200, 400)], None, ("HEAD",))
    yield Case("DELETE of nobody with a body", post(length, INNER, b"DELETE /nobody HTTP/1.1"), [(404, 400)], None)
    yield Case("GET with a body", post(length, INNER, b"GET /-/healthy HTTP/1.1"), [(200, 400)], None)
    yield Case("push to nobody with a body", post(length, INNER, b"POST /nobody HTTP/1.1"), [(404,)], closed=False)
    yield Case("HEAD, then HEAD", post(b"", b"", b"HEAD /victim HTTP/1.1") * 2, [ok, ok], False, ("HEAD", "HEAD"))
    yield Case("close, then another", post(b"Connection: close\r\nContent-Length: 5\r\n", b"hello") + INNER, [ok])
    yield Case("HTTP/1.0, then another", post(b"Content-Length: 5\r\n", b"hello", b"POST /victim HTTP/1.0") + INNER, [ok])
    yield Case("an error, then others", post(b"Content-Length: x\r\n") + post(b"Content-Length: 5\r\n", b"hello") + INNER, [REFUSED])
    # Cut off in the middle: nothing of it runs.
    yield Case("body cut short", post(b"Content-Length: 500\r\n", INNER), [], closed=False)
    yield Case("chunk cut short", post(chunked, b"1f4\r\n" + INNER), [], closed=False)
    yield Case("chunks without the last", post(chunked, b"5\r\nhello\r\n"), [], closed=False)
    yield Case("head cut short", post(b"Content-Length: 5\r\n")[:-2], [], closed=False)
    expect = b"Expect: 100-continue\r\n"
    yield Case("expectation, body along", post(expect + b"Content-Length: 5\r\n", b"hello") + INNER, [ok, unauthorised], closed=False)
    yield Case("expectation, chunked along", post(expect + chunked, hello) + INNER, [ok, unauthorised], closed=False)
    yield Case("expectation without a body", post(expect + b"Content-Length: 0\r\n") + INNER, [ok, unauthorised], closed=False)
    yield Case("expectation, too large", post(expect + b"Content-Length: 99999999\r\n", INNER), [(413,)])
    yield Case("another expectation", post(b"Expect: 200-ok\r\n" + length, INNER), [(417,)])
    yield Case("two expectations", post(expect + b"Expect: x\r\n" + length, INNER), [(417,)])
    yield Case("expectation, no token", post(expect + length, INNER).replace(AUTH, b""), [(401,)], None)
    yield Case("handshake with a body", handshake("/h1", [("Content-Length", str(len(INNER)))]) + INNER, [REFUSED])
    yield Case("handshake with chunks", handshake("/h2", [("Transfer-Encoding", "chunked")]) + b"0\r\n\r\n" + INNER, [REFUSED])
    yield Case("handshake, two lengths", handshake("/h3", [("Content-Length", "0"), ("Content-Length", "9")]) + INNER, [REFUSED])
    yield Case("bad version, then a request", handshake("/h4").replace(b"Version: 13", b"Version: 12") + INNER, [(426,)], None)
    yield Case("another upgrade", handshake("/h5").replace(b"websocket", b"h2c") + INNER, [(426, 400)], None)


CASES = [*lengths(), *chunks(), *heads(), *sequences()]
