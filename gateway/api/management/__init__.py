"""The gateway's part of /api/fleet/v1: the names that callers may write. See docs/fleet-api.md."""
