"""The two ends that the check plays: a WebSocket client, and the gateway as an API sees it."""

import base64
import hashlib
import http.client
import os
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote

SECONDS = 10  # how long any one thing may take
TEXT_FRAME, BINARY_FRAME, CLOSE_FRAME, PING_FRAME, PONG_FRAME = 1, 2, 8, 9, 10


class Refused(Exception):
    """The handshake was answered with another status than 101."""

    def __init__(self, status, text):
        super().__init__(f"{status} {text}")
        self.status, self.text = status, text


class Closed(Exception):
    """The other side sent a close frame."""

    def __init__(self, code, reason):
        super().__init__(f"{code} {reason}")
        self.code, self.reason = code, reason


class WebSocket:
    """A blocking WebSocket client (RFC 6455) with just what the check needs."""

    def __init__(self, port, client_id, query=""):
        self.socket = socket.create_connection(("127.0.0.1", port), SECONDS)
        self.reader = self.socket.makefile("rb")
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /{quote(client_id, safe='')}{query} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        status = int(self.reader.readline().split()[1])
        headers = http.client.parse_headers(self.reader)
        if status != 101:
            text = self.reader.read(int(headers["Content-Length"])).decode()
            self.drop()
            raise Refused(status, text)
        accept = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        assert headers["Sec-WebSocket-Accept"] == base64.b64encode(accept).decode(), "wrong Sec-WebSocket-Accept"

    def send(self, message):
        """Sends one message: text for `str`, binary for `bytes`."""
        text = isinstance(message, str)
        self.send_frame(TEXT_FRAME if text else BINARY_FRAME, message.encode() if text else message)

    def send_frame(self, opcode, payload):
        size = len(payload)
        if size < 126:
            head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
        elif size < 1 << 16:
            head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        self.socket.sendall(head + mask + masked)

    def receive(self):
        """The next message, `str` or `bytes`; answers pings; raises `Closed` for a close frame."""
        while True:
            first, size = self.read(2)
            assert first & 0xF0 == 0x80, f"fragment or reserved bits: {first:#x}"
            if size == 126:
                (size,) = struct.unpack("!H", self.read(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", self.read(8))
            opcode, payload = first & 0x0F, self.read(size)
            if opcode == TEXT_FRAME:
                return payload.decode()
            if opcode == BINARY_FRAME:
                return payload
            if opcode == PING_FRAME:
                self.send_frame(PONG_FRAME, payload)
            elif opcode == CLOSE_FRAME:
                code = struct.unpack("!H", payload[:2])[0] if payload else 1005
                raise Closed(code, payload[2:].decode())
            else:
                assert opcode == PONG_FRAME, f"unknown opcode {opcode}"

    def read(self, size):
        data = self.reader.read(size)
        if len(data) < size:
            raise ConnectionError("the connection ended without a close frame")
        return data

    def ask(self, message):
        """Sends a message and gives the next one that comes."""
        self.send(message)
        return self.receive()

    def close(self, code=1000, reason=""):
        """The closing handshake, to its end."""
        self.send_frame(CLOSE_FRAME, struct.pack("!H", code) + reason.encode())
        try:
            late = self.receive()
        except Closed:
            self.drop()
        else:
            raise AssertionError(f"a message instead of a close frame: {late!r}")

    def drop(self):
        """Ends the connection without a closing handshake."""
        self.reader.close()
        self.socket.close()


class Api:
    """Sends an API what the gateway would send, all over one kept-alive connection."""

    def __init__(self, port):
        self.http = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        self.http.connect()
        self.socket = self.http.sock

    def call(self, method, client_id, connection, body=b"", query="", **headers):
        """One call; gives status, content type and body."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.http.request(method, f"/{quote(client_id, safe='')}{query}", body, {"X-Connection-Id": connection, **headers})
        answer = self.http.getresponse()
        result = answer.status, answer.getheader("Content-Type"), answer.read()
        assert self.http.sock is self.socket, "the API closed a connection that should be kept alive"
        return result

    def connect(self, client_id, connection, query=""):
        status, _, body = self.call("GET", client_id, connection, query=query)
        return status, body.decode()

    def text(self, client_id, connection, message):
        """Posts a text message; gives the text of the answer."""
        status, kind, body = self.call("POST", client_id, connection, message.encode(), Content_Type="text/plain; charset=utf-8")
        assert status == 200 and kind.startswith("text/plain"), (status, kind, body)
        return body.decode()

    def disconnect(self, client_id, connection, code="1000", reason=""):
        status, _, _ = self.call("DELETE", client_id, connection, reason.encode(), X_Close_Code=code)
        assert status == 200, status

    def close(self):
        self.http.close()


class PushTarget:
    """Stands where the gateway would be and takes pushes; `answers` maps a ClientId to a status."""

    def __init__(self, port, answers):
        self.pushes = pushes = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                client_id = unquote(self.path[1:], errors="strict")
                body = self.rfile.read(int(self.headers["Content-Length"]))
                pushes.append((client_id, self.headers["Content-Type"], self.headers["Authorization"], body.decode()))
                self.send_response(answers.get(client_id, 404))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_request(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
