"""Versions of the software and of the control plane's words. A server accepts workers one version behind its own."""

SOFTWARE_VERSION = "0.1.0"
PROTOCOL_VERSION = 1
OLDEST_ACCEPTED_VERSION = max(1, PROTOCOL_VERSION - 1)


def is_supported(version: int) -> bool:
    """Whether a server of this release understands a worker that speaks this version."""
    return OLDEST_ACCEPTED_VERSION <= version <= PROTOCOL_VERSION
