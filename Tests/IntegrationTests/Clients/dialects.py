"""What a client says and hears in each dialect to see that it was let in."""

import asyncio
import json

from crosspoint import check


async def hears(socket, **what):
    async with asyncio.timeout(20):
        while True:
            message = json.loads(await socket.recv())
            if all(message.get(key) == value for key, value in what.items()):
                return message


async def subscribe(socket, token, kind):
    """Astro's answer to a subscription with this token: its error, if it has one."""
    data = {"topic": "channel.activities", "token": token, "token_type": kind}
    await socket.send(json.dumps({"type": "subscribe", "nonce": "n", "data": data}))
    return (await hears(socket, type="response", nonce="n")).get("error")


async def works(dialect, socket, token, kind):
    """Does what only a verified client may."""
    if dialect == "source-saver":
        await socket.send(json.dumps({"action": "subscribe", "events": ["sources:*"]}))
        await hears(socket, event="subscription:confirmed")
    elif dialect == "astro":
        error = await subscribe(socket, token, kind)
        check(error is None, error)
    elif dialect == "wave":
        await socket.send(json.dumps({"type": "ping", "timestamp": 7}))
        await hears(socket, type="pong")
    elif dialect == "grimnir":
        await (await socket.ping())
    else:
        await hears(socket, type="auth_success")
