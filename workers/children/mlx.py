"""MLX on Apple's processors: `python -m mlx_lm.server`. It knows no key, and loads whatever model a request names,
except for this word."""

from workers.children.launch import Ground, Launch, flags
from workers.engines.base import EngineSpec

_THE_MODEL_IT_WAS_STARTED_WITH = "default_model"


def launch(spec: EngineSpec, ground: Ground) -> Launch:
    own = {"model": spec.source, "host": "127.0.0.1", "port": ground.port, "decode_concurrency": spec.max_concurrency}
    return Launch(
        arguments=[*spec.program, *flags(own | spec.options)],
        capabilities=["chat", "completions"],
        model=_THE_MODEL_IT_WAS_STARTED_WITH,
    )
