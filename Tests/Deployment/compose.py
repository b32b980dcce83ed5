"""The suite as docker compose runs it, and what Docker says of it."""

import asyncio
import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
IMAGES = ("crosspoint", "crosspoint-postgres", "crosspoint-haproxy")
SERVICES = ("auth", "obs-bridge", "stream-metrics", "radio-playout", "camera-events", "performance-monitor", "gateway")


class Compose:
    """One project of compose; `command` is compose v1 or v2 as one calls it."""

    def __init__(self, command, project):
        self.command, self.project = [*command, "--project-name", project], project

    async def __call__(self, *arguments, environment=None, quiet=True):
        """Runs compose; returns what it printed."""
        return await run(*self.command, *arguments, environment=environment, quiet=quiet)

    async def containers(self, service):
        """The containers of a service that run, as Docker describes them."""
        ids = (await self("ps", "--quiet", service)).split()
        found = json.loads(await run("docker", "inspect", *ids)) if ids else []
        return [each for each in found if each["State"]["Running"]]

    async def address(self, service):
        """The address of a service's only container in the network of the bus."""
        [container] = await self.containers(service)
        return self.address_of(container)

    def address_of(self, container):
        """The address of a container in the network of the bus."""
        return container["NetworkSettings"]["Networks"][f"{self.project}_bus"]["IPAddress"]

    async def memory(self):
        """MiB in use, by service, over all of its containers."""
        used = {}
        for service in (*SERVICES, "haproxy", "postgres"):
            for container in await self.containers(service):
                lines = await run("docker", "stats", "--no-stream", "--format", "{{.MemUsage}}", container["Id"])
                used[service] = used.get(service, 0) + _mebibytes(lines.split("/")[0].strip())
        return used


async def run(*command, environment=None, quiet=True):
    """Runs a command in the checkout's top folder; returns what it printed, and says that too unless `quiet`."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command), cwd=ROOT, env=os.environ | (environment or {}), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if quiet else None, stderr=subprocess.PIPE if quiet else None)
    output, complaint = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {process.returncode}\n{(complaint or b'').decode()[-4000:]}")
    return (output or b"").decode()


async def image_sizes():
    """Megabytes of each image, and of all with the layers that they share counted once."""
    sizes = {image: int(await run("docker", "inspect", "--format", "{{.Size}}", image)) / 1e6 for image in IMAGES}
    # In an archive of several images a layer is there once.
    together = int(await run("bash", "-c", f"docker save {' '.join(IMAGES)} | wc --bytes")) / 1e6
    return sizes, together


def _mebibytes(text):
    for unit, factor in (("KiB", 1 / 1024), ("MiB", 1), ("GiB", 1024), ("B", 1 / 1024**2)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise ValueError(f"no size: {text}")
