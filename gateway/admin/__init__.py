"""The gateway in admin: one module a record."""

from gateway.admin import api_keys, usage

__all__ = ["api_keys", "usage"]
