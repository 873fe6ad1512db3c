"""`python -m workers`: one worker daemon; with `--standalone`, one model served on its own."""

import asyncio
import logging
import os
import sys
from collections.abc import Coroutine, Mapping, Sequence

from workers import daemon, settings
from workers.errors import WorkerError
from workers.log import LogKeeper, start_logging
from workers.standalone import program
from workers.standalone.settings import read_settings as read_standalone_settings


def main() -> int:
    """The exit status: 0 after SIGTERM or SIGINT, 1 when it could not go on; the last line says why."""
    log = start_logging()
    try:
        asyncio.run(_program(sys.argv[1:], os.environ, log))
    except WorkerError as error:
        logging.error("The worker stops: %s", error)
        return 1
    return 0


def _program(arguments: Sequence[str], environment: Mapping[str, str], log: LogKeeper) -> Coroutine[None, None, None]:
    if "--standalone" in arguments:
        return program.serve_alone(read_standalone_settings(arguments, environment))
    return daemon.run(settings.read_settings(arguments, environment), log)


if __name__ == "__main__":
    sys.exit(main())
