"""The gateway in admin: one module a record."""

from gateway.admin import api_keys, routes, usage

__all__ = ["api_keys", "routes", "usage"]
