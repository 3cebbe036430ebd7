"""Serve batches to training on other machines (tf.data service).

For example, on three machines:

    python main.py serve_input --role=dispatcher --port=5050
    python main.py serve_input --role=worker --dispatcher=grpc://HOST:5050
    python main.py --audio_dir=gs://bucket/audio --data_service=grpc://HOST:5050

It serves until it is interrupted. The trainer itself reads batches that do not arrive: workers may
start and stop at any time.
"""

from collections.abc import Sequence

from absl.flags import FlagValues

import flags
from commands.interface import Command
from pipeline.data_service.server import ServiceConfig, require_dispatcher, serve
from runtime import devices


def run(values: FlagValues, arguments: Sequence[str]) -> None:
    """Serves until a signal ends the process."""
    config = ServiceConfig(role=values.role, dispatcher=values.dispatcher, port=values.port)
    if config.dispatcher:
        require_dispatcher("--dispatcher", config.dispatcher)
    devices.keep_tensorflow_off_accelerators()
    from runtime.logging import start_logging

    start_logging(None)
    serve(config)


COMMAND = Command(doc=__doc__, groups=(flags.DATA_SERVICE,), run=run)
