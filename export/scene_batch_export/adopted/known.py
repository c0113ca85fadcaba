"""What is known of a foreign model, each thing with where it was taken from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from scene_batch.errors import ModelError, UsageError


@contextmanager
def followed(what: str) -> Iterator[None]:
    """Turn whatever odd values raise into a UsageError that names where they stand."""
    try:
        yield
    except _ODD as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UsageError(f"{what} cannot be followed: {reason}") from None


_ODD = (
    ArithmeticError,
    AttributeError,
    LookupError,
    ModelError,
    RecursionError,
    TypeError,
    ValueError,
)


@dataclass(slots=True)
class Known:
    """Values by name; the first one that is put for a name stays.

    The names: ``classes`` (a tuple), ``pipeline`` (a function of the input's size), ``size``
    ((width, height)), ``channels``, ``mean``, ``std``, ``scale``, ``preprocess`` (values that
    replace some of the pipeline's), ``layout``, ``input``, ``output``, ``activation``, ``license``,
    ``author``, ``description``, ``version``.
    """

    values: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)
    """What was found but cannot be followed."""

    otherwise: list[str] = field(default_factory=list)
    """Where other class names stand than those that are kept."""

    def put(self, name: str, value: object, source: str) -> None:
        """Keep a value, unless there is one already or it is None."""
        if value is not None and name not in self.values:
            self.values[name] = value
            self.sources[name] = source
        elif name == "classes" and value not in (None, self.get(name)):
            self.otherwise.append(source)

    def put_labels(self, names: tuple[str, ...], note: str, source: str) -> None:
        """Keep class names, unless there are some; the note says how they were read, if oddly."""
        self.put("classes", names, f"{source}, {note}" if note else source)

    def source_of_classes(self) -> str:
        """Where the class names were taken from, and where others stand."""
        source = self.sources.get("classes", "")
        return source + "".join(f"; {other} has others" for other in self.otherwise)

    def get(self, name: str) -> Any:  # noqa: ANN401 - of any type, by its name
        """The value of a name; None where it is not known."""
        return self.values.get(name)

    def try_to(self, read: Callable[[], None]) -> None:
        """Call a function that puts values; what it cannot follow becomes a doubt."""
        try:
            read()
        except UsageError as error:
            self.doubts.append(str(error))
