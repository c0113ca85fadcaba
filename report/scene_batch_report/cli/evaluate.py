"""The command ``evaluate``."""

from __future__ import annotations

from pathlib import Path

import click

from scene_batch.cli.terminal import say


@click.command("evaluate")
@click.argument("preds")
@click.option(
    "--truth",
    multiple=True,
    default=["parent-folder"],
    show_default=True,
    metavar="parent-folder|FILE|PATTERN",
    help="Where the classes are known from: the photo's folder, a table with path and class, or a"
    " regular expression of the path with (?P<class>...). Given again, the later one goes before.",
)
@click.option("--against", metavar="PREDS", help="Another table of the same photos: what changed.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="A folder for metrics.json and pictures.",
)
def command(preds: str, truth: tuple[str, ...], against: str | None, out: Path | None) -> None:
    """Say how good PREDS is, a table or data set of `run`, where the classes are known.

    \b
    Examples:
      scene-batch evaluate preds.parquet
      scene-batch evaluate preds.parquet --truth truth.csv --out figures/
      scene-batch evaluate preds.parquet --truth parent-folder --truth corrections.csv
      scene-batch evaluate new.parquet --against old.parquet
      scene-batch evaluate preds.parquet --truth '/(?P<class>[a-z]+)-[0-9]+[.]jpg$'
    """
    from scene_batch.tables.run_table import RunTable
    from scene_batch_report.evaluation import compare, coverage_curve, evaluate, to_json
    from scene_batch_report.figures_text import against_in_words, in_words
    from scene_batch_report.judged import judge
    from scene_batch_report.truth import truth_of

    known = truth_of(*truth)
    judged = judge(RunTable.open(preds), known)
    found = evaluate(judged)
    for line in in_words(found, list(judged.classes)):
        say(line)
    if against is not None:
        found["against"] = compare(judged, judge(RunTable.open(against), known))
        for line in against_in_words(found["against"], against):
            say(line)
    if out is not None:
        from scene_batch_report.pictures import draw

        out.mkdir(parents=True, exist_ok=True)
        (out / "metrics.json").write_text(to_json(found), encoding="utf-8")
        draw(found, coverage_curve(judged), list(judged.classes), out)
