"""What a run finds beside its output and is not its own: refused, and left as it is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from scene_batch.errors import (
    LedgerError,
    OutputBusyError,
    OutputError,
    OutputExistsError,
    UsageError,
)
from scene_batch.model.predictor import Predictor
from scene_batch.outputs.local_storage import LocalStorage
from scene_batch.outputs.publishing import Publisher
from scene_batch.outputs.tally import Tally
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.run import run
from support import Watch, break_off, save_colour_model, scene_batch, started

pytestmark = pytest.mark.usefixtures("small_parts")


def test_another_job_than_the_ledgers_is_refused_with_what_differs(
    photos: Path, colours: Predictor, colour_model: Path, tmp_path: Path
) -> None:
    out = str(tmp_path / "p.parquet")
    break_off(Job((str(photos),), out), colours, 60)
    other_model = Predictor.open(save_colour_model(tmp_path / "m.onnx", version="2.0.0"))
    fewer = Predictor.open(colour_model, top_k=1)
    for job, predictor, words in (
        (Job((str(photos / "f1"),), out), colours, "another sources"),
        (Job((str(photos),), out, limit=5), colours, r"another limit \(then null, now 5\)"),
        (Job((str(photos),), out), other_model, "another model"),
        (Job((str(photos),), out), fewer, r"another top_k \(then 3, now 1\)"),
    ):
        with pytest.raises(LedgerError, match=f"{words}.*--restart"):
            run(job, predictor)
    run(Job((str(photos / "f1"),), out, restart=True), colours)
    assert pq.read_metadata(out).num_rows == len(list((photos / "f1").glob("*.png")))


def test_a_changed_list_is_another_job(colours: Predictor, photos: Path, tmp_path: Path) -> None:
    names = tmp_path / "list.txt"
    names.write_text("\n".join(str(path) for path in sorted(photos.rglob("*.png"))))
    job = Job((f"@{names}",), str(tmp_path / "p.parquet"))
    break_off(job, colours, 60)
    names.write_text("another.jpg\n" + names.read_text())
    with pytest.raises(LedgerError, match="another lists"):
        run(job, colours)


def test_two_runs_on_one_output_the_second_is_refused(
    photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    job = Job((str(photos),), str(tmp_path / "p.parquet"))
    refused = []

    def second(tally: Tally) -> None:
        if not refused:
            with pytest.raises(OutputBusyError, match="another process is writing") as error:
                run(job, colours)
            refused.append(error)

    assert run(job, colours, Watch(second)).photos == 200
    assert refused


def test_a_lock_dies_with_its_owner(photos: Path, colour_model: Path, tmp_path: Path) -> None:
    code = (
        "import sys, time; from scene_batch.outputs.ledger import Ledger;"
        "from scene_batch.outputs.storage import open_storage;"
        "Ledger(open_storage(sys.argv[1])).__enter__(); print('held', flush=True); time.sleep(60)"
    )
    out = str(tmp_path / "p.csv")
    with started([sys.executable, "-c", code, out], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        done = scene_batch("run", photos, "--out", out, "--model", colour_model)
        assert done.returncode == 1
        assert b"another process is writing" in done.stderr
        holder.kill()
    done = scene_batch(
        "run", photos, "--out", out, "--model", colour_model, "--max-unreadable", "100%"
    )
    assert done.returncode == 0, done.stderr


def test_a_finished_run_is_not_taken_for_another_commands(
    photos: Path, colours: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was killed between saying that it is finished and the renaming."""
    out = tmp_path / "p.parquet"

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Publisher, "_publish", killed)
        run(Job((str(photos),), str(out)), colours)
    other = Job((str(photos / "f1"),), str(out))
    with pytest.raises(LedgerError, match="another sources"):
        run(other, colours)
    run(Job(other.sources, other.out, restart=True), colours)
    assert all("/f1/" in path for path in pq.read_table(out)["path"].to_pylist())


def test_a_pipe_does_not_throw_away_what_another_job_saved(
    photos: Path, colours: Predictor, colour_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.parquet"
    break_off(Job((str(photos),), str(out)), colours, 60)
    paths = b"".join(os.fsencode(path) + b"\n" for path in (photos / "f2").iterdir())
    done = scene_batch("run", "@-", "--out", out, "--model", colour_model, stdin=paths)
    assert done.returncode == 1
    assert b"holds an unfinished run with another sources" in done.stderr
    assert run(Job((str(photos),), str(out)), colours).attempts == 2


def test_folders_of_the_users_own_are_left_alone(
    photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    own = tmp_path / "p.parquet.parts"
    own.mkdir()
    (own / "notes.txt").write_text("precious")
    with pytest.raises(LedgerError, match=r"holds 'notes.txt', which is not a run's"):
        run(Job((str(photos),), str(tmp_path / "p.parquet")), colours)
    assert (own / "notes.txt").read_text() == "precious"
    shutil.copytree(photos, tmp_path / "copy")
    for name in ("copy/", "copy"):
        with pytest.raises(UsageError):
            run(Job((str(tmp_path / "copy"),), f"{tmp_path}/{name}", overwrite=True), colours)
    assert len(list((tmp_path / "copy").rglob("*.png"))) == 200


def test_what_is_not_ours_beside_an_output_stays(
    photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    job = Job((str(photos),), f"{tmp_path}/set/", overwrite=True)
    run(job, colours)
    (tmp_path / "set" / "notes.md").write_text("mine")
    with pytest.raises(OutputError, match=r"holds 'notes\.md' and is no data set"):
        run(job, colours)
    (tmp_path / "set" / "notes.md").unlink()
    shutil.copytree(tmp_path / "set", tmp_path / "set.replaced")
    run(job, colours)
    assert (tmp_path / "set.replaced" / "_run.json").exists()
    (tmp_path / "p.parquet.parts").mkdir()
    (tmp_path / "p.parquet.parts" / "film.partial").write_text("mine")
    with pytest.raises(LedgerError, match=r"holds 'film\.partial', which is not a run's"):
        run(Job((str(photos),), f"{tmp_path}/p.parquet"), colours)
    assert os.listdir(tmp_path / "p.parquet.parts") == ["film.partial"]
    (tmp_path / "q.parquet.run.json").write_text('{"photos": "of my run"}')
    for overwrite in (False, True):
        with pytest.raises(OutputError, match=r"q\.parquet\.run\.json' is no run's record"):
            run(Job((str(photos),), f"{tmp_path}/q.parquet", overwrite=overwrite), colours)
    assert (tmp_path / "q.parquet.run.json").read_text() == '{"photos": "of my run"}'


def test_a_table_that_came_by_other_means_is_not_replaced(
    photos: Path, colours: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job((str(photos),), f"{tmp_path}/p.parquet")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(LocalStorage, "publish_file", killed)
        run(job, colours)
    (tmp_path / "p.parquet").write_bytes(b"another table")
    with pytest.raises(OutputExistsError):
        run(job, colours)
    assert (tmp_path / "p.parquet").read_bytes() == b"another table"
    run(Job(job.sources, job.out, overwrite=True), colours)
    assert pq.read_table(job.out).num_rows > 3


def test_a_replaced_data_set_that_is_half_removed_is_not_in_the_way(
    photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    job = Job((str(photos),), f"{tmp_path}/out/", overwrite=True)
    run(job, colours)
    replaced = tmp_path / "out.parts.replaced"
    replaced.mkdir()
    (replaced / "part-000000.parquet").write_bytes(b"of the old one")
    run(job, colours)
    assert sorted(os.listdir(tmp_path)) == ["out"]
    replaced.mkdir()
    (replaced / "mine.txt").write_text("x")
    with pytest.raises(OutputError, match="is in the way; move it elsewhere"):
        run(job, colours)


@pytest.mark.parametrize("how", ["as it is", "link", "hard link", "spelling", "record"])
@pytest.mark.parametrize("what", ["list", "model", "source", "config"])
def test_what_is_read_is_never_written(
    what: str, how: str, photos: Path, colours: Predictor, colour_model: Path, tmp_path: Path
) -> None:
    file = tmp_path / ("data.csv.run.json" if how == "record" else "data.csv")
    shutil.copy(colour_model, file)
    before = file.read_bytes()
    out = {"link": "link.csv", "hard link": "hard.csv", "spelling": "x/../data.csv"}.get(
        how, "data.csv"
    )
    (tmp_path / "x").mkdir()
    (tmp_path / "link.csv").symlink_to("data.csv")
    os.link(file, tmp_path / "hard.csv")
    sources = {"list": f"@{file}", "source": str(file)}.get(what, str(photos))
    job = Job(
        (sources,),
        f"{tmp_path}/{out}",
        model=file if what == "model" else None,
        config=file if what == "config" else None,
        overwrite=True,
    )
    with pytest.raises(UsageError, match=r"would replace '.*', which is read"):
        run(job, colours)
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("file", "out"),
    [
        ("set/part-000000.parquet", "set/"),
        ("y.parquet.parts/list.parquet", "y.parquet"),
        ("p.csv.run.json.partial", "p.csv"),
    ],
)
def test_what_is_read_is_not_in_what_is_written(
    file: str, out: str, photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(f"{photos}/0.png")
    job = Job((f"@{tmp_path}/{file}",), f"{tmp_path}/{out}", overwrite=True)
    with pytest.raises(UsageError, match=r"would replace '.*', which is read"):
        run(job, colours)
    assert (tmp_path / file).exists()


def test_a_file_that_is_called_as_a_lock_stays(
    photos: Path, colours: Predictor, tmp_path: Path
) -> None:
    for folder in ("set", "p.parquet.parts"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "_lock").write_text("precious")
        (tmp_path / folder / "notes.txt").write_text("x")
    for out in ("set/", "p.parquet"):
        with pytest.raises((OutputError, LedgerError), match="holds"):
            run(Job((str(photos),), f"{tmp_path}/{out}"), colours)
    for folder in ("set", "p.parquet.parts"):
        assert (tmp_path / folder / "_lock").read_text() == "precious"


def test_a_config_is_not_written_over(photos: Path, tmp_path: Path) -> None:
    config = tmp_path / "job.csv"
    config.write_text('[run]\noverwrite = true\nout = "job.csv"\n')
    done = scene_batch("run", photos, "--config", config, cwd=tmp_path)
    assert done.returncode == 2
    assert b"would replace" in done.stderr
    assert config.read_text().startswith("[run]")


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_an_output_that_is_a_link_is_written_where_it_points(
    suffix: str, photos: Path, colours: Predictor, whole: Path, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    real, link = tmp_path / "there" / f"real{suffix}", tmp_path / f"link{suffix}"
    link.symlink_to(real)
    job = Job((str(photos),), str(link))
    break_off(job, colours, 60)  # it points to nothing yet
    run(job, colours)
    assert link.is_symlink()
    if suffix == ".parquet":
        run(Job((str(photos),), str(link), update=True, prune=True), colours)
        assert pq.read_table(real) == pq.read_table(whole)
    run(Job((str(photos),), str(link), overwrite=True), colours)
    assert link.is_symlink()
    assert sorted(os.listdir(tmp_path)) == [link.name, "there"]
    assert sorted(os.listdir(real.parent)) == [real.name, f"{real.name}.run.json"]
    link.unlink()
    link.symlink_to(link.name)
    with pytest.raises(OutputError, match="is a link in a circle"):
        run(job, colours)
