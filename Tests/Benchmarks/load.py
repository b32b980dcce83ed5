"""Runs the load generator, and reads what it says."""

import json
import subprocess

from suite import CLIENT_CORE

# What a message is on the wire, its envelope included; a frame's header comes on top.
MESSAGE_BYTES = 512
# A rate is sustained if that much had arrived when the publisher stopped.
SUSTAINED = 0.95


class Result:
    """What one run of the load generator has said."""

    def __init__(self, lines, status, errors):
        self.lines, self.status, self.errors = lines, status, errors

    @property
    def connect(self):
        return self._one("connect")

    @property
    def idle(self):
        return self._one("idle")

    @property
    def steps(self):
        return [line for line in self.lines if line["kind"] == "step"]

    def _one(self, kind):
        return next((line for line in self.lines if line["kind"] == kind), {})

    @property
    def faults(self):
        """What must not be: messages lost, twice or in disorder, and connections that ended."""
        found = {name: sum(step[name] for step in self.steps)
                 for name in ("gaps", "duplicates", "disordered", "foreign", "closed")}
        # Beyond what a server can do, the end of a step is still under way when the time for it is over.
        found["lost"] = sum(step["lost"] for step in self.steps if step["in_time"] >= SUSTAINED)
        found["not connected"] = self.connect.get("failed", 0)
        return {name: count for name, count in found.items() if count}


class Generator:
    """The load generator, pinned to its core."""

    def __init__(self, programs):
        self.program = programs / "LoadGenerator"

    def run(self, *arguments, pids=(), timeout=180):
        command = ["taskset", "--cpu-list", CLIENT_CORE, self.program, *map(str, arguments)]
        if pids:
            command += ["--pid", ",".join(map(str, pids))]
        # Its publisher is a child of it, which must not outlive a run that hangs.
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            output, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            output, errors = process.communicate()
        lines = [json.loads(line) for line in output.decode().splitlines() if line.startswith("{")]
        if not any(line["kind"] == "connect" for line in lines):
            raise RuntimeError(f"the load generator failed ({process.returncode}): {errors.decode()[-500:]}")
        return Result(lines, process.returncode, errors.decode())
