"""The units of ``app.py``, beside a thread of pure Python that never rests."""

import threading

from app import app

__all__ = ["app"]


def spin() -> None:
    count = 0
    while True:
        count += 1


threading.Thread(target=spin, daemon=True).start()
