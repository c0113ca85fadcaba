"""AWS Lambda's entry: ``scene_batch_serve.lambda_handler.handler``. Its import loads the model."""

from __future__ import annotations

import os

from scene_batch.cli.process import prepare_process
from scene_batch_serve.lambda_function import Function, use_what_can_be_written

prepare_process()
use_what_can_be_written()
_function = Function.from_environment(os.environ)


def handler(event: object, _: object = None) -> object:
    """Answer an event: a photo, a request by HTTP, or objects that came to S3."""
    return _function(event)
