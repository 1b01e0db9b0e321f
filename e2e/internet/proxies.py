"""HAProxy and nginx in front of gateways, with the files of deploy/: only addresses and times differ."""

import os
import pathlib
import ssl
import subprocess

import wire
from programs import Program, find, free_port, listens
from websocket import WebSocket

DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "deploy"
TOKEN = "only-the-api-knows"
ORIGIN = ("Origin", "https://example.com")


def certificate(directory):
    """Makes a self-signed certificate for localhost, with its key in the same file."""
    pem, key, cert = directory / "ws2http.pem", directory / "key.pem", directory / "cert.pem"
    # Not RSA: finding its primes would hold up, for half a second, whoever shares this event loop.
    command = [find("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert]
    subprocess.run(command, check=True, capture_output=True)
    pem.write_text(cert.read_text() + key.read_text())
    return pem


class Proxy:
    """A running proxy: `clients` takes wss://, `pushes` takes control requests."""

    def __init__(self, directory, gateways, changes=()):
        """`gateways` are (public port, control port) of each; `changes` are (old, new) texts of the file."""
        self.directory = directory
        self.clients, self.pushes = free_port(), free_port()
        self.pem = certificate(directory)
        text = (DEPLOY / self.FILE).read_text()
        for old, new in [*self.addresses(gateways), *changes]:
            assert old in text, f"{self.FILE} has no {old!r}"
            text = text.replace(old, new)
        self.file = directory / pathlib.Path(self.FILE).name
        self.file.write_text(text)
        self.tls = ssl.create_default_context(cafile=directory / "cert.pem")

    def addresses(self, gateways):
        yield "8443", str(self.clients)
        yield "127.0.0.1:7002", f"127.0.0.1:{self.pushes}"
        for number, (public, control) in enumerate(gateways, 11):
            yield f"10.0.0.{number}:7001", f"127.0.0.1:{public}"
            yield from self.control_address(number, control)

    async def start(self):
        self.program = Program(self.NAME, self.command(), self.directory)
        for port in (self.clients, self.pushes):
            await self.program.ready(f"{self.NAME} listens", lambda: listens(port))
        return self

    async def connect(self, target, headers=(ORIGIN,)):
        """A WebSocket over TLS, the certificate checked."""
        return await WebSocket.connect(self.clients, target, headers, ssl=self.tls, server_hostname="localhost")

    async def request(self, method, target, headers=()):
        """Plain HTTP where the clients come in."""
        return await wire.request(self.clients, method, target, None, headers, ssl=self.tls, server_hostname="localhost")

    async def push(self, target, body, method="POST", headers=()):
        return await wire.request(self.pushes, method, target, body, [("Authorization", f"Bearer {TOKEN}"), *headers])


class HAProxy(Proxy):
    NAME, FILE = "haproxy", "haproxy/haproxy.cfg"
    BALANCE = "balance hash path,url_dec"  # the line that the checks replace
    TUNNEL = "timeout tunnel 90s", "timeout tunnel 2s"

    def addresses(self, gateways):
        yield from super().addresses(gateways)
        yield "/etc/haproxy/ws2http.pem", str(self.pem)
        yield "maxconn 200000", "maxconn 2000"  # what any machine allows
        # Each gateway has its own control port here: what is checked is said per server.
        yield "default-server check port 7002 inter 1s", "default-server check inter 200ms"
        for number, (public, control) in enumerate(gateways, 1):
            yield f"server gateway{number} 127.0.0.1:{public}", f"server gateway{number} 127.0.0.1:{public} port {control}"

    def control_address(self, number, control):
        yield f"10.0.0.{number}:7002", f"127.0.0.1:{control}"

    def command(self):
        return [find("haproxy"), "-db", "-f", self.file]

    @staticmethod
    def gateway_flags(control):
        return ["--control-listen", f"127.0.0.1:{control}"]


class Nginx(Proxy):
    NAME, FILE = "nginx", "nginx/nginx.conf"
    BALANCE = "hash $uri consistent;"
    TUNNEL = "proxy_read_timeout 90s", "proxy_read_timeout 2s"

    def addresses(self, gateways):
        yield from super().addresses(gateways)
        yield "/etc/nginx/ws2http.pem", str(self.pem)
        for limit in ("worker_rlimit_nofile 200000;", "worker_connections 100000;"):
            yield limit, limit.replace("00000", "000")  # what any machine allows
        yield "fail_timeout=5s", "fail_timeout=1s"

    def control_address(self, number, control):
        return []

    def command(self):
        user = ["-g", "daemon off; user root;"] if os.geteuid() == 0 else ["-g", "daemon off;"]
        return [find("nginx"), "-p", self.directory, "-c", self.file, "-e", "stderr", *user]

    @staticmethod
    def gateway_flags(_control):
        return []


PROXIES = {proxy.NAME: proxy for proxy in (HAProxy, Nginx)}
