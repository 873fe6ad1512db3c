"""Everything of this app that admin shows."""

from accounts.admin import invitations, people, sign_in_rules, terms
from accounts.admin.people import LIMIT_FIELDSETS, TeamAdmin

__all__ = ["LIMIT_FIELDSETS", "TeamAdmin", "invitations", "people", "sign_in_rules", "terms"]
