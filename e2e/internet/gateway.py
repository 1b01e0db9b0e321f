"""A gateway under test: its ports, its memory and its figures."""

import json
import pathlib
import re

import wire
from programs import Program


class Gateway(Program):
    """A gateway on free ports; `public` is where clients connect, `control` where pushes go."""

    @classmethod
    async def start(cls, binary, directory, api, *flags, name="gateway", listen=0, environment=None):
        arguments = ["--listen", f"127.0.0.1:{listen}", "--api", api, "--log-format", "json", *flags]
        gateway = cls(name, [binary, *arguments], directory, environment)
        public, control = await gateway.ready("the gateway listens", gateway._listening)
        gateway.public = int(public.rpartition(":")[2])
        gateway.control = int(control.rpartition(":")[2]) if control else gateway.public
        return gateway

    def _listening(self):
        for fields in self.lines():
            if fields.get("message") == "listening":
                return fields["public"], fields.get("control")

    def lines(self):
        """The fields of every complete log line."""
        for line in self.output().split("\n")[:-1]:
            try:
                yield json.loads(line)["fields"]
            except (ValueError, KeyError) as error:
                raise AssertionError(f"no log line: {line!r}") from error

    def resident(self):
        """Bytes of memory."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s*(\d+) kB", status)[1]) * 1024

    async def metrics(self):
        """Every sample of /metrics: name and labels to value."""
        answer = await wire.request(self.control, "GET", "/metrics")
        assert answer.status == 200, answer
        lines = [line for line in answer.body.decode().splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    async def control_request(self, method, target, token, body=None):
        return await wire.request(self.control, method, target, body, [("Authorization", f"Bearer {token}")])
