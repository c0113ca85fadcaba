"""The cgroups that limit this process: where Linux says what a container may use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

CGROUPS, MINE = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
"""Where the cgroups are mounted, and what says which of them this process is in."""


def folders(controller: str, cgroups: Path = CGROUPS, mine: Path = MINE) -> Iterator[Path]:
    """The process's cgroup and those around it: the tightest limit counts.

    In a container with a namespace of its own the mount is already the container's cgroup.

    Args:
        controller: ``cpu`` or ``memory``.
        cgroups: Where the cgroups are mounted.
        mine: Says which of them this process is in.
    """
    try:
        lines = mine.read_text().splitlines()
    except OSError:
        lines = []
    for line in ["0::/", f"1:{controller}:/", *lines]:  # "number:controllers:path" (cgroups(7))
        if line.count(":") < 2:  # noqa: PLR2004 - as it is split
            continue
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        inside = PurePosixPath("/", path)
        for folder in (inside, *inside.parents):
            # A link to the controller alone, whatever the order of names there.
            for mount in {controllers, controllers and controller}:
                yield cgroups / mount / folder.relative_to("/")
