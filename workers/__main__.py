"""`python -m workers`: one worker daemon."""

import asyncio
import logging
import os
import sys

from workers.daemon import run
from workers.errors import WorkerError
from workers.settings import read_settings


def main() -> int:
    """The exit status: 0 after SIGTERM or SIGINT, 1 when the daemon could not go on; the last line says why."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        asyncio.run(run(read_settings(sys.argv[1:], os.environ)))
    except WorkerError as error:
        logging.error("The worker stops: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
