"""What each printed client does, and what it must print."""

import asyncio
import json

from play import REAL, scene

# Source Saver


@scene("source-saver/connect.js")
async def hears_of_the_system(play):
    """Without a subscription it prints what concerns all: the system's status and maintenance."""
    client = await play.start()
    await client.prints("Connected to Source Saver WebSocket")
    await play.publish("system.statusChange", {
        "previousStatus": "healthy", "currentStatus": "degraded", "reason": play.word,
        "checks": {"obsConnected": True, "sourceManagerInitialized": True, "memoryUsage": "high"}}, tenant="default")
    await client.prints("Received: {event:system:statusChange,data:{", "previousStatus:healthy",
                        "currentStatus:degraded", f"reason:{play.word}", "obsConnected:true", "timestamp:20", "id:msg-")
    await play.publish("system.maintenanceMode", {"enabled": True, "estimatedDuration": 60, "message": play.word},
                       tenant="default")
    await client.prints("Received: {event:system:maintenanceMode,data:{", "enabled:true", f"message:{play.word}")


@scene("source-saver/connect.js", gateway=REAL)
async def hears_of_sources(play):
    """Subscribed to sources:*, it prints what the REST API did to a source; then it closes."""
    client = await play.start()
    await client.prints("Connected to Source Saver WebSocket")
    await client.call("socket.send(JSON.stringify({ action: 'subscribe', events: ['sources:*'] }))")
    await client.prints("event:subscription:confirmed", "subscribedEvents:[sources:*]", "subscriptionId:sub-")
    source = await _source(play)
    await client.prints("Received: {event:sources:create,data:{source:{", f"name:{play.word}")
    await play.did("PUT", "obs-bridge", f"/api/sources/{source}", {"width": 1000})
    await client.prints("Received: {event:sources:update", "width:1000", "changes:[width]")
    await play.did("DELETE", "obs-bridge", f"/api/sources/{source}")
    await client.prints("Received: {event:sources:delete", f"sourceId:{source}")
    await client.call("socket.close()")
    await client.prints("WebSocket connection closed")
    client.never("WebSocket error")


async def _source(play):
    source = {"name": play.word, "url": "https://example.com/alert", "width": 800, "height": 600}
    return (await play.did("POST", "obs-bridge", "/api/sources", source))["id"]


@scene("source-saver/subscribe.js", gateway=REAL)
async def hears_of_activation(play):
    """Both its subscriptions are confirmed; it prints that a source went active and inactive, and no other event."""
    client = await play.start()
    await client.prints("subscribedEvents:[sources:activate,sources:deactivate]",
                        "subscribedEvents:[sources:activate,sources:deactivate,obs:sceneChanged,performance:alert]")
    source = await _source(play)
    await play.did("POST", "obs-bridge", f"/api/sources/{source}/activate")
    await client.prints("event:sources:activate", f"sourceName:{play.word}")
    await play.did("POST", "obs-bridge", f"/api/sources/{source}/deactivate")
    await client.prints("event:sources:deactivate", f"sourceName:{play.word}")
    await play.did("DELETE", "obs-bridge", f"/api/sources/{source}")
    client.never("sources:create")


@scene("source-saver/subscribe.js")
async def hears_of_scenes_and_alerts(play):
    """It prints a change of scene and a performance alert, and no other event."""
    client = await play.start()
    await client.prints("obs:sceneChanged,performance:alert]")
    await play.publish("scenes.sourceAdded", {"sceneName": play.word}, tenant="default")
    await play.publish("obs.sceneChanged", {"previousScene": "Main", "currentScene": play.word, "sceneIndex": 1},
                       tenant="default")
    await client.prints("event:obs:sceneChanged", f"currentScene:{play.word}")
    alert = {"type": "high_cpu_usage", "value": 85.2, "message": play.word}
    await play.publish("performance.alert", alert, tenant="default")
    await client.prints("event:performance:alert", f"message:{play.word}")
    client.never("scenes:sourceAdded")


@scene("source-saver/heartbeat.js", slow=True)
async def is_answered(play):
    """Its ping after 30 s is answered with its own time."""
    client = await play.start()
    await client.prints("event:pong", "clientTimestamp:20", "serverTimestamp:20", timeout=60)


@scene("source-saver/reconnect.js", drains=True)
async def source_saver_comes_back(play):
    """When the gateway leaves it counts its delay, and comes back."""
    client = await play.start()
    await client.prints("Connected to Source Saver")
    await play.drain.leave()
    await client.prints("Reconnecting in 1000ms...")
    await client.prints("Connected to Source Saver")


# Astro

ASTRO = ("astro/browser.js", "astro/node.js", "astro/client.py", "astro/client.go")


async def _astro(play):
    return await play.start(YOUR_CHANNEL_ID=play.tenant, YOUR_JWT_TOKEN=await play.owner())


async def _activity(play):
    """Somebody follows the channel."""
    draft = {"type": "follow", "provider": "twitch", "data": {"username": play.word, "displayName": "Seed"}}
    await play.did("POST", "stream-metrics", f"/kappa/v2/activities/{play.tenant}", draft, await play.owner())


def _socket_of(play):
    return "ws" if play.scene.path == "astro/node.js" else "websocket"


@scene(*ASTRO)
async def hears_of_activities(play):
    """It is welcomed, subscribes, and prints an activity of the channel with its payload."""
    client = await _astro(play)
    await client.prints("Connected to StreamElements Astro", "Welcome received")
    await client.prints("successfully subscribed to topic")
    await _activity(play)
    await client.prints(f"[channel.activities] in room {play.tenant}:", f"username:{play.word}")
    if play.group.name != "go":
        await client.prints("New activity:", "type:follow", f"username:{play.word}")
    client.never("error")


@scene(*ASTRO)
async def is_told_that_the_token_is_wrong(play):
    """A wrong token is an error that it prints, and the connection stays."""
    client = await play.start(YOUR_CHANNEL_ID=play.tenant, YOUR_JWT_TOKEN="wrong")
    await client.prints("Welcome received", "Error: err_unauthorized")
    client.never("Connection closed", "Success")


@scene("astro/browser.js", "astro/node.js")
async def hears_of_the_session(play):
    """Subscribed to the session's topics too, it prints key and data of an update and the whole of a reset."""
    client = await _astro(play)
    await client.prints("successfully subscribed to topic")
    token = await play.owner()
    for topic in ("channel.session.update", "channel.session.reset"):
        command = {"type": "subscribe", "nonce": topic, "data": {"topic": topic, "token": token, "token_type": "jwt"}}
        await client.call(f"{_socket_of(play)}.send(JSON.stringify({json.dumps(command)}))")
        await client.prints("successfully subscribed to topic")
    await play.publish("channel.session.update", {
        "key": "follower-latest", "name": "follower-latest", "data": {"name": play.word, "activityId": "a"},
        "provider": "twitch", "channel": play.tenant}, room=play.tenant)
    await client.prints("Session update - Key: follower-latest", "Session update - Data: {", f"name:{play.word}")
    await play.publish("channel.session.reset", {"follower-latest": {"name": play.word}}, room=play.tenant)
    await client.prints("Session reset - Full session data:", f"follower-latest:{{name:{play.word}")


@scene("astro/browser.js", "astro/node.js")
async def unsubscribes(play):
    """After its unsubscribe() it is told no more of the room."""
    client = await _astro(play)
    await client.prints("successfully subscribed to topic")
    await client.call(f"unsubscribe('channel.activities', '{play.tenant}')")
    await client.prints("Success: successfully unsubscribed from topic")
    # When another client has the activity and the answer to a further command is here, so would the activity be.
    witness = await play.socket("astro", "/")
    data = {"topic": "channel.activities", "token": await play.owner(), "token_type": "jwt"}
    await witness.send({"type": "subscribe", "data": data})
    await witness.until(lambda message: message["type"] == "response")
    await _activity(play)
    await witness.until(lambda message: message["type"] == "message")
    everywhere = "unsubscribeAll" if play.scene.path == "astro/browser.js" else "unsubscribe"
    await client.call(f"{everywhere}('channel.activities')")
    await client.prints("Success: successfully unsubscribed from topic")
    client.never("New activity")
    await client.call(f"{_socket_of(play)}.close(1000, 'done')")
    await client.prints("Connection closed: 1000")


@scene("astro/oauth2.js")
async def subscribes_with_oauth2(play):
    """An OAuth2 access token subscribes as a JWT does."""
    client = await play.start(YOUR_CHANNEL_ID=play.tenant, YOUR_OAUTH2_TOKEN=await play.token("oauth2"))
    await client.prints("type:welcome", "successfully subscribed to topic", f"room:{play.tenant}")
    await _activity(play)
    await client.prints("topic:channel.activities", f"username:{play.word}")
    client.never("error")


@scene("astro/rate_limit.js")
async def hears_of_the_rate_limit(play):
    """Too many commands at once are answered so that it backs off."""
    client = await play.start()
    await client.prints("Rate limit exceeded, backing off...")


@scene("astro/retry.js", drains=True)
async def astro_comes_back(play):
    """When its connection ends it counts its delay, and comes back."""
    client = await play.start()
    await client.prints("Connected to StreamElements Astro")
    await play.drain.leave()
    await client.prints("Reconnecting in 1000ms...", timeout=60)
    await client.prints("Connected to StreamElements Astro")


@scene(*ASTRO, "astro/reconnect_token.js", drains=True)
async def is_handed_over(play):
    """Told that the gateway leaves, its new connection with the token has the subscriptions of the old one, and the
    events with them."""
    client = await _astro(play)
    await client.prints("successfully subscribed to topic")
    await play.drain.leave()
    if play.scene.path in ("astro/client.py", "astro/client.go"):
        await client.prints("Server is shutting down, reconnecting...")
        if play.group.name == "go":
            await client.prints("Reconnecting to ws://127.0.0.1:")
        await client.exits()
    elif play.scene.path != "astro/reconnect_token.js":
        await client.prints("Server is shutting down, reconnecting...")
    # The printed Python and Go clients leave the new connection to their reader.
    if play.group.name == "python":
        return
    if play.group.name == "go":
        token = client.printed.split("reconnect_token=")[1].split()[0]
        heir = await play.socket("astro", f"/?reconnect_token={token}", play.drain.second)
        assert (await heir.next())["type"] == "welcome"
    connection, = await play.connected(gateway=play.drain.second)
    assert any("channel.activities" in each for each in connection["filters"]), connection
    await _activity(play)
    if play.group.name == "go":
        message = await heir.until(lambda message: message["type"] == "message")
        assert message["data"]["data"]["username"] == play.word, message
    if play.group.name == "chromium":
        await _frames(client, "reconnect_token=", "welcome", play.word)


async def _frames(page, url, *texts):
    """Waits until a page's WebSocket with this in its URL has got frames with the texts."""
    for text in texts:
        async with asyncio.timeout(30):
            while not any(text in frame for each, frames in page.frames.items() if url in each for frame in frames):
                await asyncio.sleep(0.1)


# WAVE


async def _stream(play, token):
    return (await play.did("POST", "stream-metrics", "/v1/streams", {"title": "Show", "protocol": "rtmp"}, token))["id"]


@scene("wave/client.js")
async def hears_of_a_stream(play):
    """It prints that the stream went live, chat of others and its own, and the audience's numbers."""
    token, key = await play.owner(), await play.token("apikey")
    stream = await _stream(play, token)
    client = await play.start(wave_live_xxxxx=key, stream_abc123=stream)
    await client.prints("Connected to WAVE WebSocket", "Received: subscribed",
                        "events:[stream.started,analytics.update,chat.message]")
    await play.did("POST", "stream-metrics", f"/v1/streams/{stream}/start", token=token)
    await client.prints("Received: stream.started", f"stream_id:{stream}", "Stream went live!", f"stream_id:{stream}")

    other = await play.socket("wave", f"/v1/streams?api_key={token}")
    await other.send({"type": "subscribe", "stream_id": stream, "events": ["reaction.received"]})
    await other.send({"type": "chat.message", "stream_id": stream, "message": play.word})
    await client.prints("Received: chat.message", f"message:{play.word}", "Chat:", play.word)
    await client.call(f"sendMessage('mine {play.word}')")
    await client.prints("Received: chat.message", f"message:mine{play.word}", "Chat:", f"mine{play.word}")
    await client.call("sendReaction('🎉')")
    reaction = await other.until(lambda message: message["type"] == "reaction.received")
    assert reaction["payload"]["reaction"] == "🎉" and reaction["payload"]["count"] == 1, reaction

    await play.publish("analytics.update", {
        "stream_id": stream, "concurrent_viewers": 42, "total_views": 99, "peak_viewers": 50,
        "average_watch_time": 12.5}, room=stream, durable=False)
    await client.prints("Received: analytics.update", "concurrent_viewers:42", "Viewers: 42")
    await client.call("ws.close(1000)")
    await client.prints("Disconnected: 1000")
    client.never("WebSocket error", "reaction.received")


@scene("wave/client.js")
async def wave_is_told_that_the_key_is_wrong(play):
    """A wrong key lets it connect, and closes with 4401, which it prints."""
    client = await play.start(wave_live_xxxxx="wave_live_wrong", stream_abc123="stream_1")
    await client.prints("Received: error", "code:AUTHENTICATION_REQUIRED", "Disconnected: 4401 Invalid Auth")


@scene("wave/reconnect.js", slow=True)
async def beats(play):
    """Its ping after 30 s is answered in time: it does not reconnect."""
    token = await play.owner()
    stream = await _stream(play, token)
    client = await play.start(wave_live_xxxxx=await play.token("apikey"), stream_abc123=stream)
    await client.prints("Connected", "Received: subscribed", "events:[stream.started,analytics.update]")
    # The client itself judges the answer 35 s after its connection.
    await asyncio.sleep(37)
    client.never("No pong received", "Disconnected", "WebSocket error", "exception")
    await play.did("POST", "stream-metrics", f"/v1/streams/{stream}/start", token=token)
    await client.prints("Received: stream.started", f"stream_id:{stream}")


@scene("wave/reconnect.js", drains=True)
async def wave_comes_back(play):
    """When the gateway leaves it is told 1001, comes back and subscribes anew."""
    stream = await _stream(play, await play.owner())
    key = await play.token("apikey")
    client = await play.start(wave_live_xxxxx=key, stream_abc123=stream)
    await client.prints("Connected", "Received: subscribed")
    await play.drain.leave()
    await client.prints("Disconnected: 1001")
    await client.prints("Connected", "Received: subscribed")


@scene("wave/reconnect.js")
async def wave_stays_away(play):
    """A wrong key is the end: it does not reconnect."""
    client = await play.start(wave_live_xxxxx="wave_live_wrong", stream_abc123="stream_1")
    await client.prints("Connected", "Disconnected: 4401")
    # It would be back after a second.
    await asyncio.sleep(2)
    assert client.printed.count("Disconnected") == 1, client.printed


# Grimnir


async def _station(play):
    return (await play.did("POST", "radio-playout", "/api/v1/stations", {"name": play.word}, await play.owner()))["id"]


@scene("grimnir/connect.js")
async def hears_of_the_radio(play):
    """It prints the track that starts, a DJ who takes over, and the server's ping; nothing that it did not ask for."""
    station = await _station(play)
    client = await play.start(your_jwt_token_here=await play.owner())
    await play.connected()
    track = {"station_id": station, "title": play.word, "artist": "Seed", "duration": 180.5}
    await play.publish("radio.live.released", {"station_id": station, "username": "Mike"}, room=station)
    await play.did("POST", "radio-playout", "/api/v1/webhooks/track-start", track, await play.owner())
    await client.prints("Event: now_playing {", f"station_id:{station}", f"title:{play.word}", "duration:180.5")
    handover = {"station_id": station, "username": play.word, "priority": 1}
    await play.publish("radio.live.handover", handover, room=station)
    await client.prints("Event: live.handover {", f"username:{play.word}")
    await client.prints("Event: ping undefined")
    client.never("live.released")


@scene("grimnir/connect.js")
async def grimnir_is_refused(play):
    """A wrong token is refused with 401."""
    client = await play.start(your_jwt_token_here="wrong")
    # How Chromium says 401.
    await client.prints("HTTP Authentication failed" if play.group.name == "chromium" else "401")


@scene("grimnir/live_sessions.js")
async def hears_of_live_sessions(play):
    """It prints who connects, takes over, gives back and leaves."""
    station = await _station(play)
    client = await play.start(your_jwt_token=await play.owner())
    await client.prints("Live session monitor connected")
    session = {"station_id": station, "session_id": "s", "username": play.word}
    await play.publish("radio.dj_connect", session | {"mount_id": "m", "source_ip": "192.0.2.100"}, room=station)
    await client.prints(f"✅ {play.word} connected from 192.0.2.100")
    await play.publish("radio.live.handover", session | {"priority": 1, "transition_type": "faded"}, room=station)
    await client.prints(f"🎙️ {play.word} took over on station {station}", "Transition: faded, Priority: 1")
    await play.publish("radio.live.released", session, room=station)
    await client.prints(f"👋 {play.word} released control")
    await play.publish("radio.dj_disconnect", session | {"duration_seconds": 3600.5}, room=station)
    await client.prints(f"❌ {play.word} disconnected after 60 minutes")
    client.never("WebSocket error")


@scene("grimnir/webstreams.js")
async def hears_of_webstreams(play):
    """It prints a failover, its alert, and the recovery."""
    station = await _station(play)
    client = await play.start(your_jwt_token=await play.owner())
    await play.connected()
    await play.publish("radio.webstream.failover", {
        "webstream_id": "w", "webstream_name": play.word, "failed_url": "http://one.example",
        "failover_url": "http://two.example", "reason": "connection_timeout"}, room=station)
    await client.prints(f"⚠️ Webstream {play.word} failed over", "Failed URL: http://one.example",
                        "Using: http://two.example", "Reason: connection_timeout", "Webstream Failover:",
                        f"webstream_name:{play.word}")
    await play.publish("radio.webstream.recovered", {
        "webstream_id": "w", "webstream_name": play.word, "recovered_url": "http://one.example"}, room=station)
    await client.prints(f"✅ Webstream {play.word} recovered", "URL: http://one.example")


@scene("grimnir/reconnect.js", drains=True)
async def grimnir_comes_back(play):
    """When the gateway leaves it counts its delay, and comes back."""
    client = await play.start(your_jwt_token=await play.owner())
    await client.prints("Connected")
    await play.drain.leave()
    await client.prints("Connection closed. Reconnecting in 1000ms...")
    await client.prints("Connected")


@scene("grimnir/live_sessions.js", drains=True)
async def the_monitor_comes_back(play):
    """When the gateway leaves it counts its delay, and comes back."""
    client = await play.start(your_jwt_token=await play.owner())
    await client.prints("Live session monitor connected")
    await play.drain.leave()
    await client.prints("Connection closed. Reconnecting in 1000ms...")
    await client.prints("Live session monitor connected")


# Airys


@scene("airys/connect.js")
async def authenticates(play):
    """It connects, and its first message makes it known to the gateway."""
    client = await play.start(your_api_token=await play.token("apikey"))
    await client.prints("Connected to Airys WebSocket")
    await play.connected()


@scene("airys/errors.js")
async def airys_is_told_that_the_token_is_wrong(play):
    """A wrong token closes with 4401, after which it does not come back."""
    client = await play.start(your_api_token="wrong")
    await client.prints("type:error", "code:AUTH_FAILED", "Connection closed: 4401")
    client.never("Connected again", "WebSocket error")


@scene("airys/errors.js", drains=True)
async def airys_comes_back(play):
    """When the gateway leaves it is told so, sees 1006, and comes back."""
    client = await play.start(your_api_token=await play.token("apikey"))
    await client.prints("type:auth_success", "status:online")
    await play.drain.leave()
    await client.prints("status:restarting", "Connection closed: 1006")
    await client.prints("Connected again")


async def _camera(play):
    camera = {"name": "Door", "source_url": "rtsp://192.0.2.1/s"}
    return (await play.did("POST", "camera-events", "/v1/cameras", camera, await play.owner()))["id"]


@scene("airys/events.js")
async def hears_of_cameras(play):
    """Without a subscription it prints faces and the status of streams."""
    camera = await _camera(play)
    client = await play.start(your_api_token=await play.token("apikey"))
    await play.connected()
    detection = {"confidence": 0.875, "bounding_box": {"x": 1, "y": 2, "width": 3, "height": 4}}
    await play.did("POST", "camera-events", f"/v1/cameras/{camera}/detections", detection, await play.owner())
    await client.prints("Face: {", f"camera_id:{camera}", "confidence:0.875", "x:1", "y:2", "width:3", "height:4")
    await play.publish("camera.stream_status", {
        "camera_id": camera, "stream_id": play.word, "status": "active", "event": "started", "quality": None,
        "error": None, "timestamp": 1645678900}, room=camera)
    await client.prints("Stream: {", f"camera_id:{camera}", f"stream_id:{play.word}", "status:active",
                        "timestamp:1645678900")


@scene("airys/stream_control.js")
async def controls_a_stream(play):
    """Its start of a stream is answered: acknowledged, or refused as long as there is no capture backend."""
    camera = await _camera(play)
    client = await play.start(your_api_token=await play.token("apikey"), cam_123=camera)
    await client.prints("type:auth_success")
    try:
        await client.prints("type:error", "code:CONTROL_FAILED", timeout=10)
    except AssertionError:
        await client.prints("type:ack", "ref:stream_control", "accepted:true", timeout=5)
