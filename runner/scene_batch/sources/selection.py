"""Which of the files that are found are taken, and how many are passed over."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from scene_batch.errors import UsageError


@dataclass(frozen=True, slots=True)
class Selection:
    """What is taken of directories and prefixes; lists and single photos are taken as named.

    Raises:
        UsageError: A pattern is none.
    """

    follow_links: bool = True
    """Whether links to photos and to folders are followed."""
    exclude: tuple[str, ...] = ()
    """Patterns of names or of paths below the source, as in .gitignore; sorted, each once."""
    skip_unlistable: bool = False
    """Whether a folder that cannot be listed is passed over; else it stops the run."""

    def __post_init__(self) -> None:
        """Sort the patterns, whose order means nothing, and refuse one that is none."""
        object.__setattr__(self, "exclude", tuple(sorted(set(self.exclude))))
        self.excludes()

    def to_json(self) -> dict[str, object]:
        """For a run's identity and its record: what is not as usual."""
        usual, values = asdict(EVERYTHING), asdict(self)
        changed = {name: value for name, value in values.items() if value != usual[name]}
        return changed | ({"exclude": list(self.exclude)} if self.exclude else {})

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what ``to_json`` gave, among other values."""
        known = {field.name: value[field.name] for field in fields(cls) if field.name in value}
        return cls(**known | {"exclude": tuple(known.get("exclude", ()))})

    def options(self) -> str:
        """The options that decide which photos are taken, as typed."""
        excluded = [f"--exclude {pattern!r}" for pattern in self.exclude]
        words = excluded + ([] if self.follow_links else ["--no-follow-links"])
        return "with " + " ".join(words) if words else "without --exclude and --no-follow-links"

    def excludes(self) -> Callable[[str], object] | None:
        """What tells whether a path below the source is excluded; None if nothing is.

        A folder's path ends with a slash. What is in an excluded folder need not be asked for.
        """
        if not self.exclude:
            return None
        return re.compile("|".join(map(_expression, self.exclude)), re.DOTALL).fullmatch


EVERYTHING = Selection()
"""All photos, through links too."""

_TOKEN = re.compile(
    r"(?<![^/])\*\*/|/\*\*$|(?<![^/])\*(?![^/])|\*+|\?|\[[!^]?\]?[^\]/]*\]|\\.|.", re.DOTALL
)


def _expression(pattern: str) -> str:
    """The regular expression of a pattern.

    With a slash before its end, a pattern is of the path below the source, else of any name. One
    with a slash at its end is of folders only. ``*`` and ``?`` stand for no slash, ``**`` does.
    """
    body = pattern.removesuffix("/")
    start = "" if "/" in body else "(?:.*/)?"
    body = body.removeprefix("/")
    if "[[:" in body:
        raise UsageError(f"--exclude {pattern!r}: classes such as [[:digit:]] are not known: [0-9]")
    if not body or body.startswith("!") or "//" in body:
        raise UsageError(f"--exclude {pattern!r}: take a name or a path: *.thumb.jpg, thumbs/, a/*")
    expression = start + _TOKEN.sub(_piece, body) + ("/" if pattern.endswith("/") else "/?")
    try:
        re.compile(expression)
    except re.error as error:
        raise UsageError(f"--exclude {pattern!r}: {error}") from None
    return expression


def _piece(found: re.Match[str]) -> str:
    piece = found[0]
    if piece == "**/":
        return "(?:.*/)?"
    if piece == "/**":
        return "/.+"
    if piece.startswith("*"):
        before, after = found.string[: found.start()], found.string[found.end() :]
        whole = before[-1:] in ("", "/") and after[:1] in ("", "/")
        return "[^/]+" if whole else "[^/]*"
    if piece == "?":
        return "[^/]"
    if piece.startswith("[") and len(piece) > 1:
        inside = re.sub(r"([\\\[&|~^])", r"\\\1", re.sub("^[!^]", "", piece[1:-1]))
        return f"[{'^/' if piece[1] in '!^' else ''}{inside}]"
    return re.escape(piece[-1])


@dataclass(slots=True)
class Ignored:
    """What a listing passed over so far."""

    hidden: int = 0
    """Names that begin with a dot, files and folders; what is in such a folder is not counted."""
    other: int = 0
    """Files without a photo's suffix."""
    excluded: int = 0
    """Files and folders that ``exclude`` names; what is in such a folder is not counted."""
    links: int = 0
    """Links to photos and folders that are not followed."""
    unlistable: int = 0
    """Folders that cannot be listed."""

    def add(self, more: Ignored) -> None:
        """Count what another folder held."""
        self.hidden += more.hidden
        self.other += more.other
        self.excluded += more.excluded
        self.links += more.links
        self.unlistable += more.unlistable


def words(ignored: Mapping[str, int]) -> list[str]:
    """What was passed over, in words; empty where nothing was."""
    counts = dict(ignored)
    folders = counts.pop("unlistable", 0)
    files = sum(counts.values())
    kinds = ", ".join(f"{kind} {counts[kind]}" for kind in ("excluded", "links") if counts[kind])
    return [
        *(
            [f"{files} other file{'s'[: files > 1]} ignored{f' ({kinds})' if kinds else ''}"]
            if files
            else []
        ),
        *([f"{folders} folder{'s'[: folders > 1]} could not be listed"] if folders else []),
    ]
