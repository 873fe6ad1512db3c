"""Any server that speaks OpenAI's dialect, by the command line that the administrator wrote."""

import re
import shlex

from workers.children.launch import Ground, Launch
from workers.engines.base import EngineSpec
from workers.errors import LoadError

_PLACEHOLDER = re.compile(r"\{(port|source|model|api_key|max_concurrency)\}")


def launch(spec: EngineSpec, ground: Ground) -> Launch:
    """Raises LoadError when the command cannot be taken apart."""
    try:
        words = shlex.split(spec.options["command"])
    except ValueError as error:
        raise LoadError(f"The command cannot be read: {error}. Check its quotes.") from error
    values = {
        "port": str(ground.port),
        "source": spec.source,
        "model": spec.model,
        "api_key": ground.api_key,
        "max_concurrency": str(spec.max_concurrency),
    }
    return Launch(
        # After it was split: a source with a space in it stays one argument.
        arguments=[_PLACEHOLDER.sub(lambda match: values[match[1]], word) for word in words],
        environment={"FLOTILLA_API_KEY": ground.api_key, "PORT": str(ground.port)},
        health_path=spec.options.get("health_path", "/health"),
        model=spec.options.get("model", ""),
        capabilities=spec.options.get("capabilities", ["chat", "completions"]),
        context_length=spec.options.get("context_length", 0),
    )
