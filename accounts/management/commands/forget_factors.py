"""For the administrator whose telephone is at the bottom of the sea."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.factors import forget_factors
from accounts.models import User
from audit.command import record_command


class Command(BaseCommand):
    help = "Forgets the second factors and passkeys of a person, who signs in by the password alone from then on."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: Any, username: str, **options: Any) -> None:
        user = User.objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"There is no account named {username}. The names are in the admin under Access, Users.")
        num_factors = forget_factors(user)
        record_command("forget_factors", {"username": username})
        self.stdout.write(f"{username}: {num_factors} second factors are forgotten.")
