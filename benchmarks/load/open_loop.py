"""A light client: photos at a rate, whatever becomes of those before, or a number at a time."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit


@dataclass
class Seen:
    """What a client saw."""

    statuses: Counter[int] = field(default_factory=Counter)
    """0: no answer."""
    seconds: list[float] = field(default_factory=list)
    """Of answers with status 200."""
    lasted: float = 0.0

    def at(self, share: float) -> float:
        """Milliseconds in which a share of the answers came."""
        ordered = sorted(self.seconds)
        return 1000 * ordered[int(share * (len(ordered) - 1))] if ordered else 0.0

    @property
    def rate(self) -> float:
        """Photos answered each second."""
        return self.statuses[200] / self.lasted


class Client:
    """Sends one photo again and again, over connections that are kept."""

    def __init__(self, url: str, photo: Path) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        body = photo.read_bytes()
        head = f"POST /predict HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: image/jpeg\r\n"
        self._request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.seen = Seen()

    async def one(self) -> None:
        """Send it, and wait for the answer."""
        begun = time.perf_counter()
        kept = True
        while kept:  # one that was kept may just have been closed
            kept, status = bool(self._free), 0
            try:
                status = await self._ask()
                kept = False
            except (OSError, ValueError, asyncio.IncompleteReadError):
                continue
        self.seen.statuses[status] += 1
        if status == 200:  # noqa: PLR2004
            self.seen.seconds.append(time.perf_counter() - begun)

    async def _ask(self) -> int:
        connection = self._free.pop() if self._free else None
        reader, writer = connection or await asyncio.open_connection(self._host, self._port)
        writer.write(self._request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        await reader.readexactly(length)
        if b"\r\nconnection: close" in head.lower():
            writer.close()
        else:
            self._free.append((reader, writer))
        return int(head[9:12])

    async def at_rate(self, rate: float, seconds: float) -> Seen:
        """So many each second."""
        begun, tasks = time.perf_counter(), set()
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, begun + number / rate - time.perf_counter()))
            task = asyncio.create_task(self.one())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)
        self.seen.lasted = time.perf_counter() - begun
        return self.seen

    async def at_a_time(self, number: int, seconds: float) -> Seen:
        """So many at a time."""
        begun = time.perf_counter()

        async def go_on() -> None:
            while time.perf_counter() < begun + seconds:
                await self.one()

        await asyncio.gather(*(go_on() for _ in range(number)))
        self.seen.lasted = time.perf_counter() - begun
        return self.seen
