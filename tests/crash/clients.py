"""Clients of ``saving.py`` that note what they have been told, until the server is gone."""

from __future__ import annotations

import json
import threading
import time

from wire import Wire

JSON = "Content-Type: application/json"


class Client(threading.Thread):
    """``told`` is the newest number that the server has answered or shown; ``times`` when, by number."""

    def __init__(self, port: int, first: int) -> None:
        super().__init__()
        self.wire = Wire(port)
        self.told = first
        self.sent = first
        self.times: dict[int, float] = {}
        self.slowest = 0.0
        self.problem = ""

    def run(self) -> None:
        try:
            self.talk()
        except (AssertionError, OSError):
            pass  # the server is gone
        except Exception as error:
            self.problem = repr(error)
        finally:
            self.wire.socket.close()

    def talk(self) -> None:
        raise NotImplementedError

    def learn(self, n: int) -> None:
        self.told = max(self.told, n)
        self.times[n] = time.monotonic()


class Poster(Client):
    """Posts 1, 2, 3 … one after the other."""

    def __init__(self, port: int, first: int, path: str, *headers: str) -> None:
        super().__init__(port, first)
        self.path = path
        self.headers = headers
        self.expected = 200 if headers else 202

    def talk(self) -> None:
        while True:
            self.sent += 1
            begun = time.monotonic()
            status = self.wire.ask("POST", self.path, str(self.sent).encode(), JSON, *self.headers).status
            if status != self.expected:
                self.problem = f"{self.path} answered {status}"
                return
            self.slowest = max(self.slowest, time.monotonic() - begun)
            self.learn(self.sent)


class Watcher(Client):
    """Links to a lane."""

    def __init__(self, port: int, node: str, lane: str) -> None:
        super().__init__(port, 0)
        assert self.wire.upgrade("/").status == 101
        self.wire.text(f'@sync(node:"{node}",lane:{lane})')

    def talk(self) -> None:
        while True:
            head, _, body = self.wire.envelope().partition(")")
            if head.startswith("@event") and body.strip():
                self.learn(int(body))


def state(port: int, path: str) -> dict[str, object]:
    with Wire(port) as wire:
        reply = wire.ask("GET", path)
        return json.loads(reply.body) if reply.status == 200 else {}
