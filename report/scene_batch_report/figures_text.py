"""The figures of an evaluation as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_MOST_CLASSES = 20
_MOST_PAIRS = 8


def in_words(found: Mapping[str, Any], classes: list[str]) -> Iterator[str]:
    """The figures, line by line."""
    low, high = found["accuracy_interval"]
    yield f"{found['photos']} photos whose class is known"
    yield f"accuracy {found['accuracy']:.4f} (95 %: {low:.4f} to {high:.4f})"
    tops = [
        f"top-{k} {share:.4f}" for k, share in found["top_k_accuracy"].items() if k in _SHOWN_TOPS
    ]
    if tops:
        yield ", ".join(tops)
    for average in ("macro", "weighted"):
        each = found[average]
        yield (
            f"{average}: precision {each['precision']:.4f}, recall {each['recall']:.4f},"
            f" F1 {each['f1']:.4f}"
        )
    losses = [f"{found[key]:.4f}" for key in ("log_loss", "brier") if found[key] is not None]
    whole = f"; log loss {losses[0]}, Brier score {losses[1]}" if losses else ""
    yield f"calibration error {found['calibration_error']:.4f}{whole}"
    for each in found["coverage"]:
        if each["min_probability"] is not None:
            yield (
                f"{each['accuracy']:.1%} are right from a probability of"
                f" {each['min_probability']:.4f} on: {each['coverage']:.1%} of the photos"
            )
    yield from _classes(found)
    yield from _pairs(found, classes)
    yield from _left_out(found)


_SHOWN_TOPS = ("2", "3", "5", "10")


def _classes(found: Mapping[str, Any]) -> Iterator[str]:
    rows = sorted(found["per_class"].items(), key=lambda item: item[1]["f1"])
    rows = [row for row in rows if row[1]["photos"] or row[1]["said"]]
    shown = rows[:_MOST_CLASSES]
    width = max((len(name) for name, _ in shown), default=0)
    yield f"{'class':{width}}  photos  precision  recall      F1"
    for name, each in shown:
        yield (
            f"{name:{width}}  {each['photos']:6}     {each['precision']:.4f}  {each['recall']:.4f}"
            f"  {each['f1']:.4f}"
        )
    if len(rows) > len(shown):
        yield f"… {len(rows) - len(shown)} more classes, with higher F1"


def _pairs(found: Mapping[str, Any], classes: list[str]) -> Iterator[str]:
    pairs = sorted(
        (
            (count, classes[row], classes[column])
            for row, line in enumerate(found["confusion"])
            for column, count in enumerate(line)
            if count and row != column
        ),
        key=lambda pair: (-pair[0], pair[1:]),
    )
    if pairs:
        said = "; ".join(f"{a} taken for {b} {n} times" for n, a, b in pairs[:_MOST_PAIRS])
        yield f"most frequent mistakes: {said}"


def _left_out(found: Mapping[str, Any]) -> Iterator[str]:
    if found["unreadable"]:
        codes = ", ".join(f"{code} {count}" for code, count in found["unreadable"].items())
        yield f"unreadable, not counted: {codes}"
    if found["truth_unknown"]:
        yield f"class not known, not counted: {found['truth_unknown']}"
    if found["truth_other"]:
        others = list(found["truth_other"].items())
        names = ", ".join(f"{name} {count}" for name, count in others[:_MOST_PAIRS])
        more = f" and {len(others) - _MOST_PAIRS} more" if len(others) > _MOST_PAIRS else ""
        yield f"of classes that the model does not know, not counted: {names}{more}"


def against_in_words(found: Mapping[str, Any], there: str) -> Iterator[str]:
    """What changed against another table, line by line."""
    if not found["photos"]:
        yield f"no photo is in {there}, too"
        return
    yield (
        f"against {there}, on {found['photos']} photos of both: accuracy {found['accuracy']:.4f}"
        f" against {found['accuracy_there']:.4f}; {found['other_class']} have another class"
    )
    sure = "a difference" if found["p_value"] < _SURE else "no sure difference"
    yield (
        f"right now and wrong there {found['better']}, wrong now and right there {found['worse']}:"
        f" {sure} (McNemar's exact test, p = {found['p_value']:.3g})"
    )
    if found["only_here"] or found["only_there"]:
        yield f"only here {found['only_here']}, only there {found['only_there']}: not compared"


_SURE = 0.05
