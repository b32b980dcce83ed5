"""What a gateway tells its operators: who gets what, and why somebody gets nothing."""

import asyncio
import contextlib

import edge
from cases import case


async def explained(stage, connection, event, gateway=2, status=200, token=None):
    """What /explain answers whoever has that token, or its owner."""
    path = f"/explain?connection={connection}&event={event}"
    answer = await stage.rest("GET", stage.operators(gateway), path, token=token or stage.owner)
    assert answer.status == status, answer
    return answer.json["answer"] if status == 200 else answer.json


async def connection_of(stage, address, gateway=2, kind="connections"):
    """What /connections says of the one from that address, once it says something of it."""
    async with asyncio.timeout(10):
        while True:
            found = [each for each in (await stage.connections(gateway))[kind] if each["address"] == address]
            if found:
                return found[-1]
            await asyncio.sleep(0.05)


async def listener(me, types="now_playing", token=None, address=None):
    """A Grimnir client that listens to these types on the gateway that hears what cases publish."""
    token = token or await me.token()
    socket = await me.open("grimnir", f"/api/v1/events?types={types}&token={token}", gateway=2, address=address)
    await socket.echo()
    return socket


@case("README", "3 •2")
async def what_was_delivered(stage, me):
    """Of an event that a client got, its operator is told `delivered`, and the connection names it as its last."""
    socket = await listener(me)
    event = (await me.publish("radio.now_playing", {"title": "one"}, room="s"))["id"]
    assert (await socket.next())["payload"] == {"title": "one"}
    shown = await connection_of(stage, me.address)
    assert shown["lastEvent"]["id"] == event and shown["lastEvent"]["type"] == "radio.now_playing", shown
    assert shown["delivered"] == 1 and shown["futile"] == {} and shown["filters"] == ["now_playing"], shown
    assert shown["limits"]["messageBytes"] == 4096 and shown["queue"] == {"frames": 0, "bytes": 0}, shown
    assert await explained(stage, shown["id"], event) == "delivered"
    assert await explained(stage, shown["id"], f"msg-{event}") == "delivered"


@case("README", "3 •2")
async def what_was_filtered(stage, me):
    """Of an event that no filter asks for, the answer names the filters; of one before the connection, that it was."""
    before = (await me.publish("radio.now_playing", {}, room="s"))["id"]
    await listener(me)
    event = (await me.publish("radio.health", {}, room="s"))["id"]
    shown = await connection_of(stage, me.address)
    assert await explained(stage, shown["id"], event) == "filtered by now_playing"
    assert await explained(stage, shown["id"], before) == "not connected yet"


@case("grimnir", "1 types")
async def futile_filters(stage, me):
    """Names that there are not, and events that the credential may not see, are shown as what can match nothing."""
    await listener(me, "now_playing,schedule.update,chat.message", await me.token(scope="radio:read"))
    shown = await connection_of(stage, me.address)
    assert shown["futile"] == {"schedule.update": "unknown name", "chat.message": "not entitled"}, shown
    event = (await me.publish("chat.message", {}, room="s"))["id"]
    assert await explained(stage, shown["id"], event) == "not entitled: scope streams:read"


@case("source-saver", "5 category:name")
async def a_pattern_without_its_scope(stage, me):
    """A Source Saver client that asks for what its credential does not allow is confirmed, and shown to operators."""
    socket = await me.open("source-saver", f"/?token={await me.token(scope='obs:read')}", gateway=2)
    await socket.send({"action": "subscribe", "events": ["radio:*", "sources:*"]})
    await socket.until(lambda message: message["event"] == "subscription:confirmed")
    shown = await connection_of(stage, me.address)
    assert shown["futile"].get("radio:*") == "not entitled" and "sources:*" not in shown["futile"], shown


@case("README", "3 •2")
async def another_tenants_event(stage, me):
    """An event of another tenant is explained as such, to operators who may see both, and is not known to others."""
    await listener(me)
    event = (await stage.publish("radio.now_playing", {}, tenant=f"{me.tenant}-other", room="s"))["id"]
    shown = await connection_of(stage, me.address)
    assert await explained(stage, shown["id"], event) == "not entitled: it is another tenant's"
    reader = await me.token(scope="system:read")
    for stranger in (reader, await me.token(tenant=f"{me.tenant}-third", scope="system:read")):
        await explained(stage, shown["id"], event, status=404, token=stranger)
    own = (await me.publish("radio.now_playing", {}, room="s"))["id"]
    assert await explained(stage, shown["id"], own, token=reader) == "delivered"
    await explained(stage, shown["id"], own, status=403, token=await me.token(scope="radio:read"))


@case("README", "3 •2", alone=True)
async def what_was_conflated(stage, me):
    """A measurement that a slow client was spared is explained as conflated, and counted on its connection."""
    socket = await me.open("grimnir", f"/api/v1/events?types=health&token={await me.token()}", gateway=2, receive_buffer=4096)
    await socket.echo()
    socket.pause()
    events = [
        {"type": "radio.health", "tenant": me.tenant, "room": "s", "durable": False,
         "data": {"mount_id": f"m{number % 2}", "n": number, "filling": "x" * 9000}}
        for number in range(1500)]
    published = await stage.publish_all(events)
    async with asyncio.timeout(20):
        while (shown := await connection_of(stage, me.address))["dropped"]["conflated"] == 0:
            await asyncio.sleep(0.1)
    shown_ids = [each["id"] for each in published[-1600:]]
    answers = {await explained(stage, shown["id"], event) for event in shown_ids[::10]}
    assert "conflated" in answers, answers
    socket.resume()
    newest = {}
    async with asyncio.timeout(20):
        while newest.get("m0") != 1498 or newest.get("m1") != 1499:
            payload = (await socket.next()).get("payload")
            if payload is not None:
                assert payload["n"] > newest.get(payload["mount_id"], -1), payload
                newest[payload["mount_id"]] = payload["n"]


@case("README", "7 all (5)")
async def how_it_was_closed(stage, me):
    """A connection that has ended is shown with its code and reason, and later events as closed by that."""
    socket = await listener(me, token=await me.token(ttl=2))
    connection = (await connection_of(stage, me.address))["id"]
    assert await socket.closing(20) == (1008, "token expired")
    shown = await connection_of(stage, me.address, kind="closed")
    assert shown["id"] == connection and shown["closed"]["code"] == 1008, shown
    event = (await me.publish("radio.now_playing", {}, room="s"))["id"]
    async with asyncio.timeout(5):
        while await explained(stage, connection, event) != "closed: 1008 token expired":
            await asyncio.sleep(0.1)


@case("grimnir", "2 ¶1")
async def too_large_for_the_dialect(stage, me):
    """An event of more than 32 KiB, over which a Grimnir client would end the connection, is not sent, and explained."""
    socket = await listener(me)
    event = (await me.publish("radio.now_playing", {"filling": "x" * 33_000}, room="s"))["id"]
    await me.publish("radio.now_playing", {"title": "next"}, room="s")
    assert (await socket.next())["payload"] == {"title": "next"}
    answer = await explained(stage, (await connection_of(stage, me.address))["id"], event)
    assert answer == "dropped: too large for clients of this dialect", answer


@case("README", "3 •3")
async def bad_questions(stage, me):
    """A question without ids is 400; of a connection or an event that nobody knows, 404."""
    await stage.third()
    for query in ("", "?connection=1", "?event=01ARZ3NDEKTSV4RRFFQ69G5FAV", "?connection=1&event=x"):
        answer = await stage.rest("GET", stage.operators(2), f"/explain{query}", token=stage.owner)
        assert answer.status == 400, (query, answer)
    await explained(stage, "0", "01ARZ3NDEKTSV4RRFFQ69G5FAV", status=404)


@case("README", "3 •3", alone=True)
async def origins(stage, me):
    """Where origins are configured, pages of others are refused with 403; programs, which send none, are let in."""
    gateway = await stage.gateway(GATEWAY_ORIGINS="https://studio.example, https://overlay.example", HTTP_ANONYMOUS="")
    path = f"/?token={await me.token()}"
    for origin, status in [
        ("https://studio.example", None), ("HTTPS://Studio.Example", None), ("https://overlay.example", None), (None, None),
        ("https://evil.example", 403), ("https://studio.example.evil.example", 403), ("null", 403), ("", 403),
        ("http://studio.example", 403),
    ]:
        headers = {} if origin is None else {"Origin": origin}
        if status is None:
            await me.open("source-saver", path, headers, gateway)
        else:
            refusal = await me.refused("source-saver", path, headers, gateway)
            assert refusal.status == status, (origin, refusal)
    # Who may be reached by others does not let anybody in without a credential.
    refusal = await me.refused("source-saver", "/", {}, gateway, me.loopback)
    assert refusal.status == 401, refusal
    gateway.process.terminate()
    with contextlib.suppress(edge.Closed):
        await gateway.process.wait()
