"""Code that a deployment brings along, such as a model's own: run only with the leave of the worker's operator."""

from protocol.engines import ENGINE_KINDS, brings_code
from workers.engines.base import EngineSpec
from workers.errors import LoadError


def check_code(spec: EngineSpec) -> None:
    """Raises LoadError for a deployment that brings code where that is not allowed."""
    if (code := brings_code(ENGINE_KINDS[spec.engine], spec.options)) and not spec.may_run_code:
        raise LoadError(
            f"This worker runs no code that a deployment brings along ({', '.join(code)}). "
            "Its operator can allow it: start the daemon with --allow-code yes."
        )
