#!/usr/bin/env python3
"""An API for ws2http in Python's standard library.

    python3 examples/python/api.py
    ws2http-tokio --api http://127.0.0.1:8000/
"""

import http.client
import json
import os
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit

PORT = int(os.environ.get("PORT", "8000"))
GATEWAY = urlsplit(os.environ.get("WS2HTTP_GATEWAY", "http://127.0.0.1:7001"))
CONTROL_TOKEN = os.environ.get("WS2HTTP_CONTROL_TOKEN")  # the same as the gateway's --control-token
TICKET = os.environ.get("API_TICKET")  # set it to let in only /<ClientId>?ticket=<API_TICKET>

TEXT, BINARY = "text/plain; charset=utf-8", "application/octet-stream"

online = {}  # ClientId -> connection id; a real application has a database
lock = threading.Lock()


def connect(client_id, query):
    """Decides who may connect. Cookies and the Authorization header are there for real life."""
    if TICKET and parse_qs(query).get("ticket") != [TICKET]:
        return 401, "no valid ticket"
    if client_id.startswith("banned"):
        return 200, "you are banned"  # any text but "ok" refuses: the client sees 403 and the text
    return 200, "ok"


def reply(client_id, text):
    """What the application answers to a text message."""
    if text == "hello":
        return f"hello {client_id}"
    if text == "who":
        with lock:
            return ", ".join(sorted(online))
    if text == "quiet":
        return ""  # nothing is sent to the client
    if part := re.fullmatch(r"@([^ ]+) (.*)", text, re.DOTALL):
        status = push(part[1], f"{client_id}: {part[2]}")
        answers = {200: "sent", 202: "sent", 404: f"{part[1]} is not connected"}
        return answers.get(status, f"{part[1]} could not be reached ({status})")
    return f"you said: {text}"


def push(to, text):
    """Sends a message to any client, at any time. Returns the HTTP status, 0 for no answer."""
    headers = {"Content-Type": TEXT}
    if CONTROL_TOKEN:
        headers["Authorization"] = f"Bearer {CONTROL_TOKEN}"
    gateway = http.client.HTTPConnection(GATEWAY.hostname, GATEWAY.port, timeout=5)
    try:
        gateway.request("POST", "/" + quote(to, safe=""), text.encode(), headers)
        return gateway.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        gateway.close()


class Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps the gateway's connections open
    disable_nagle_algorithm = True  # an answer leaves at once, though head and body are two writes

    def do_GET(self):  # a client wants to connect: the body "ok" lets it in
        client_id, query = self.client()
        status, answer = connect(client_id, query)
        if answer == "ok":
            with lock:
                online[client_id] = self.headers["X-Connection-Id"]
        self.answer(status, TEXT, answer.encode())

    def do_POST(self):  # a client sent a message: a body that is not empty goes back to it
        client_id, _ = self.client()
        body = self.body()
        if self.headers["Content-Type"] == BINARY:
            self.answer(200, BINARY, body)  # binary messages are echoed
        else:
            self.answer(200, TEXT, reply(client_id, body.decode()).encode())

    def do_DELETE(self):  # a client has gone: the body is the reason. May come twice.
        client_id, _ = self.client()
        print(f"{client_id} left: {self.headers['X-Close-Code']} {json.dumps(self.body().decode())}", file=sys.stderr)
        with lock:  # a late DELETE of an older connection must not take the newer one off the list
            if online.get(client_id) == self.headers["X-Connection-Id"]:
                online.pop(client_id, None)
        self.answer(200, TEXT, b"ok")

    def client(self):
        # The ClientId is the last part of the path, percent-encoded: /b%C3%B6b is "böb".
        path, _, query = self.path.partition("?")
        return unquote(path.rpartition("/")[2]), query

    def body(self):
        return self.rfile.read(int(self.headers["Content-Length"] or 0))

    def answer(self, status, content_type, body):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, *_):
        pass  # one line per WebSocket message is a lot


class Server(ThreadingHTTPServer):
    request_queue_size = 1024  # the gateway opens many connections at once


if __name__ == "__main__":
    Server(("127.0.0.1", PORT), Api).serve_forever()  # for the gateway only: the API believes its headers
