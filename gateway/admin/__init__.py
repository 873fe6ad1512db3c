"""The gateway in admin: one module a record."""

from gateway.admin import api_keys, content_policies, routes, teams, usage

__all__ = ["api_keys", "content_policies", "routes", "teams", "usage"]
