"""`manage.py up`: the whole of Flotilla on this machine."""

import sys
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.bootstrap import ensure_credentials, ensure_demo_deployment, ensure_join_token
from config.launcher import CannotStart, check_port, hold_lock, run_parts, worker_state_dir


class Command(BaseCommand):
    help = "Start web, worker and tasks on this machine, with everything they need; Ctrl-C stops them."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="where the web server listens (default: 8000)")
        parser.add_argument(
            "--host", default="127.0.0.1", help="on which address (default: 127.0.0.1, this machine only)"
        )
        parser.add_argument("--verbose", action="store_true", help="show every line that the parts print")

    def handle(self, *, port: int, host: str, verbose: bool, **_: Any) -> None:
        try:
            lock = hold_lock()
            check_port(host, port)
        except CannotStart as reason:
            raise CommandError(str(reason)) from reason
        with lock:
            self._say("Starting Flotilla ...\n  preparing the database ...")
            call_command("migrate", verbosity=0)
            credentials = ensure_credentials(f"http://{f'[{host}]' if ':' in host else host}:{port}")
            ensure_demo_deployment()
            token = ensure_join_token(worker_state_dir())
            sys.exit(run_parts(credentials, token, say=self._say, verbose=verbose))

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
