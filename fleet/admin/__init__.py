"""The fleet in admin: one module a record."""

from fleet.admin import deployments, join_tokens, models, providers, replicas, workers

__all__ = ["deployments", "join_tokens", "models", "providers", "replicas", "workers"]
