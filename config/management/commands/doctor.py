"""`manage.py doctor`: is this installation well, and if not, what to do."""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from config.doctor import Finding, Level, examine


class Command(BaseCommand):
    help = "Check versions, database, channel layer, broker, disk, workers and clocks; say what to do for each finding."
    requires_system_checks = ()

    def handle(self, **_: Any) -> None:
        findings = [self._show(finding) for finding in examine()]
        errors = sum(finding.level is Level.ERROR for finding in findings)
        warnings = sum(finding.level is Level.WARNING for finding in findings)
        self.stdout.write(f"\n{len(findings)} checks: {errors} errors, {warnings} warnings.")
        if errors:
            sys.exit(1)

    def _show(self, finding: Finding) -> Finding:
        style = {Level.OK: self.style.SUCCESS, Level.WARNING: self.style.WARNING, Level.ERROR: self.style.ERROR}
        self.stdout.write(f"{style[finding.level](f'{finding.level:<8}')} {finding.subject}: {finding.says}")
        if finding.remedy:
            self.stdout.write(f"         → {finding.remedy}")
        return finding
