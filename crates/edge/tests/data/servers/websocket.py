"""Sends every message back as it came, over the first protocol that was offered, if any (ASGI). uvicorn does not send
messages without content with each of its implementations, so these come back as words."""


async def app(scope, receive, send):
    if scope["type"] != "websocket":
        return
    await receive()
    offered = scope["subprotocols"]
    await send({"type": "websocket.accept", "subprotocol": offered[0] if offered else None})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        if message.get("text") is not None:
            await send({"type": "websocket.send", "text": message["text"] or "(nothing)"})
        else:
            await send({"type": "websocket.send", "bytes": message["bytes"] or b"(nothing)"})
