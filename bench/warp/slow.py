"""Subscribers that read 1 kB a second: ``slow.py PORT COUNT SECONDS``. Prints ``ready`` when all have linked."""

import asyncio
import base64
import os
import socket
import struct
import sys

NODE = "/wide/30"


async def subscriber(port: int, until: float, linked: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    line = socket.socket()
    # a small window: what is not read waits in the server, not in the kernel
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.setblocking(False)
    await loop.sock_connect(line, ("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    head = (
        "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    )
    await loop.sock_sendall(line, head.encode())
    await loop.sock_recv(line, 4096)
    text = f'@sync(node:"{NODE}",lane:info)'.encode()
    await loop.sock_sendall(line, struct.pack(">BB", 0x81, 0x80 | len(text)) + b"\0\0\0\0" + text)
    linked.set()
    while loop.time() < until:
        await loop.sock_recv(line, 1000)
        await asyncio.sleep(1.0)
    line.close()


async def main(port: int, count: int, seconds: float) -> None:
    until = asyncio.get_running_loop().time() + seconds
    events = [asyncio.Event() for _ in range(count)]
    tasks = [asyncio.create_task(subscriber(port, until, event)) for event in events]
    for event in events:
        await event.wait()
    print("ready", flush=True)
    await asyncio.gather(*tasks, return_exceptions=True)


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
