"""How a run is opened, whoever asks for it: errors come in one order, before any work."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from scene_batch.model.predictor import Predictor
from scene_batch.model.session import Session
from scene_batch.outputs.name import STANDARD_OUTPUT, check_name
from scene_batch.pipeline.interruption import Interruption
from scene_batch.pipeline.job import Job
from scene_batch.pipeline.named_model import begin_model
from scene_batch.sources.directory import with_slashes
from scene_batch.threads import begin

if TYPE_CHECKING:
    from scene_batch.model.model_file import ModelFile
    from scene_batch.pipeline.front import Front
    from scene_batch.tables.run_record import RunRecord


def run_job(
    job: Job, front: Front, interruption: Interruption, file: ModelFile | None = None
) -> RunRecord:
    """Open a run, and run it; ``file`` is the job's model, if it is being read already.

    The order of checks: the output's name, the sources, the model and its provider, the table that
    is there, what an unfinished run left.

    Raises:
        SceneBatchError: What is wrong; see ``run``.
        Interrupted: By a signal; the same job continues.
    """
    with interruption.held_off(), ExitStack() as stack:
        check_name(with_slashes(job.out))
        model = file or begin_model(job.model, job.model_sha256, front.note)
        opening = begin(lambda: Session.open(model, job.compute))
        # If something is refused meanwhile, wait all the same: a load cannot be broken off.
        stack.callback(lambda: model.give_up() or opening.wait())
        from scene_batch.pipeline.run import open_sources, run  # pyarrow loads meanwhile

        loading = stack.pop_all()
    with loading:
        listing = open_sources(job)
        model.wait()  # a signal counts while it is fetched
        with interruption.held_off():
            predictor = Predictor.of(opening.result(), job.top_k)
        front.note(predictor.session.note)
        if not listing.continuable or job.out == STANDARD_OUTPUT:
            front.note("a pipe is read or written: this run cannot be continued")
        return run(job, predictor, front, interruption, listing)
