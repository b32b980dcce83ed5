"""What Python's websockets tells its user of a refusal and of a close. Its argument is a task, in JSON."""

import asyncio
import json
import sys

import websockets

task = json.loads(sys.argv[1])


def say(**what):
    print(json.dumps(what), flush=True)


async def send(socket):
    for step in task.get("send", []):
        await asyncio.sleep(step.get("pause", 0))
        for _ in range(step.get("times", 1)):
            if "text" in step:
                await socket.send(step["text"])
            elif "long" in step:
                await socket.send("x" * step["long"])
            elif "binary" in step:
                await socket.send(bytes(step["binary"]))
    if "close" in task:
        await socket.close(task["close"])


async def connect():
    async with websockets.connect(task["url"], additional_headers=task.get("headers", {})) as socket:
        say(opened=True)
        if task.get("times"):
            return
        sending = None if "after" in task else asyncio.create_task(send(socket))
        try:
            async for message in socket:
                say(message=message)
                if sending is None and task["after"] in message:
                    sending = asyncio.create_task(send(socket))
        except websockets.ConnectionClosed:
            pass
        await socket.wait_closed()
        say(closed=socket.close_code, reason=socket.close_reason or "")


async def main():
    try:
        for _ in range(task.get("times", 1)):
            await connect()
    except websockets.InvalidStatus as refusal:
        response = refusal.response
        headers = {name.lower(): value for name, value in response.headers.raw_items()}
        say(refused=response.status_code, headers=headers, body=(response.body or b"").decode())
    except Exception as failure:
        say(failed=f"{type(failure).__name__}: {failure}")


asyncio.run(main())
