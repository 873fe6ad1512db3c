"""From a source to a model in memory. Safetensors only, and no code that comes with a model, unless that is allowed."""

import logging
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForSequenceClassification,
    AutoModelForSpeechSeq2Seq,
    AutoProcessor,
    AutoTokenizer,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)
from transformers.utils import logging as transformers_logging

from workers.engines.base import EngineSpec, Sampling
from workers.engines.foreign_code import check_code
from workers.engines.sources import resolve_source
from workers.engines.transformers.chat_template import use_asked_template
from workers.engines.transformers.devices import choose_device_map, choose_dtype, choose_max_memory
from workers.engines.transformers.quantizing import quantization_config
from workers.engines.transformers.reranking import is_reranker_config
from workers.engines.transformers.sentence_model import SentenceModel, read_sentence_model
from workers.errors import LoadError

logger = logging.getLogger(__name__)

Report = Callable[[float], None]
Loaded = TypeVar("Loaded")

DEFAULT_CONTEXT_LENGTH = 4096
"""For models that name no bound, such as those with ALiBi positions or recurrent state."""
_MAX_REASON_LENGTH = 500
_NO_BOUND = 10**9
"""Tokenizers without a bound of their own carry a number beyond this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A model and what the engine must know of it."""

    model: Any
    tokenizer: Any
    processor: Any | None
    """Of a model that sees."""
    is_causal: bool
    """False: an encoder, which only makes embeddings, or a classifier."""
    is_classifier: bool
    is_reranker: bool
    """A classifier with one output, which says how well two texts belong together."""
    sentence_model: SentenceModel
    context_length: int
    end_tokens: frozenset[int]
    default_sampling: Sampling
    """What the model's generation_config.json recommends; no field is None but the seed."""


def load_model(spec: EngineSpec, report: Report) -> LoadedModel:
    """The model of this spec, on its device. Raises LoadError, whatever goes wrong."""
    return _loaded(spec, lambda source: _load(spec, source, report))


def load_speech_model(spec: EngineSpec, report: Report) -> tuple[Any, Any, Any]:
    """A model that writes down speech, its tokenizer, and what makes features of samples. Raises LoadError."""
    return _loaded(spec, lambda source: _load_speech(spec, source, report))


def _loaded(spec: EngineSpec, load: Callable[[str], Loaded]) -> Loaded:
    source = resolve_source(spec.source)
    try:
        return load(source)
    except LoadError:
        raise
    except Exception as error:
        # The libraries raise whatever comes to hand: OSError, ValueError, KeyError, RuntimeError, SafetensorError.
        logger.exception("Loading %s failed", source)
        raise LoadError(f"{spec.source!r} could not be loaded: {str(error)[:_MAX_REASON_LENGTH]}") from error


def _load(spec: EngineSpec, source: str, report: Report) -> LoadedModel:
    check_code(spec)
    is_trusted = _is_trusted(spec)
    config = AutoConfig.from_pretrained(source, trust_remote_code=is_trusted)
    is_classifier = is_classifier_model(config)
    sentence_model = SentenceModel() if is_classifier else read_sentence_model(source)
    sees = is_seeing_model(config) and not sentence_model.is_declared
    processor = _load_processor(source, is_trusted=is_trusted) if sees else None
    loaded = processor or AutoTokenizer.from_pretrained(source, trust_remote_code=is_trusted)
    tokenizer = loaded.tokenizer if processor else loaded
    use_asked_template(tokenizer, spec)
    report(0.1)
    is_causal = sees or (is_causal_model(config) and not sentence_model.is_declared)
    if sees or not is_causal:
        _check_is_not_compiled(spec)
    auto_class = AutoModelForImageTextToText if sees else _auto_class(is_causal=is_causal, is_classifier=is_classifier)
    model = _load_weights(spec, source, config, auto_class, report)
    return LoadedModel(
        model=model.eval(),
        tokenizer=tokenizer,
        processor=processor,
        is_causal=is_causal,
        is_classifier=is_classifier,
        is_reranker=is_classifier and is_reranker_config(config),
        sentence_model=sentence_model,
        context_length=_asked_length(
            spec, min(context_length(config, tokenizer), _num_positions(model), sentence_model.max_length or _NO_BOUND)
        ),
        end_tokens=_end_tokens(model, tokenizer) if is_causal else frozenset(),
        default_sampling=_default_sampling(model) if is_causal else Sampling(temperature=1.0, top_p=1.0),
    )


def _load_weights(spec: EngineSpec, source: str, config: Any, auto_class: Any, report: Report) -> Any:
    """The model, on its devices and in its number format."""
    is_trusted = _is_trusted(spec)
    device_map = choose_device_map(spec.device)
    dtype = choose_dtype(spec.dtype, device_map, lambda: _num_parameters(auto_class, config, is_trusted=is_trusted))
    quantization = quantization_config(spec.quantization, dtype)
    with _weights_reported(lambda done: report(0.1 + 0.8 * done)):
        return auto_class.from_pretrained(
            source, config=config, dtype=dtype, device_map=device_map, max_memory=choose_max_memory(spec, device_map),
            use_safetensors=None if is_trusted else True, trust_remote_code=is_trusted,
            **({"quantization_config": quantization} if quantization else {}),
        )  # fmt: skip


def _is_trusted(spec: EngineSpec) -> bool:
    """Pickled weights may be code, too: whoever trusts the one trusts the other."""
    return bool(spec.options.get("trust_remote_code"))


def _load_processor(source: str, *, is_trusted: bool) -> Any:
    processor = AutoProcessor.from_pretrained(source, trust_remote_code=is_trusted)
    if not (getattr(processor, "image_token", None) and hasattr(processor, "image_processor")):
        raise LoadError(
            f"This engine cannot show images to models of this kind ({type(processor).__name__}): their prompts have "
            "no token for an image. Choose another engine, such as vllm."
        )
    return processor


def _load_speech(spec: EngineSpec, source: str, report: Report) -> tuple[Any, Any, Any]:
    if _is_trusted(spec):
        raise LoadError("Models for speech bring no code of their own here. Leave the option trust_remote_code out.")
    if spec.quantization:
        raise LoadError("Models for speech are not quantized by this engine. Leave the quantization empty.")
    _check_is_not_compiled(spec)
    config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    extractor = AutoFeatureExtractor.from_pretrained(source, trust_remote_code=False)
    device_map = choose_device_map(spec.device)
    dtype = choose_dtype(spec.dtype, device_map, lambda: _num_parameters(AutoModelForSpeechSeq2Seq, config))
    with _weights_reported(lambda done: report(0.1 + 0.8 * done)):
        model = AutoModelForSpeechSeq2Seq.from_pretrained(
            source, config=config, dtype=dtype, device_map=device_map, max_memory=choose_max_memory(spec, device_map),
            use_safetensors=True, trust_remote_code=False,
        )  # fmt: skip
    return model.eval(), tokenizer, extractor


def _check_is_not_compiled(spec: EngineSpec) -> None:
    if spec.options.get("compile"):
        raise LoadError(
            "Only models that write text, and do not see, can be compiled. Set the option compile to false."
        )


def is_causal_model(config: Any) -> bool:
    """Whether this configuration is of a model that writes text. BERT could by its type, but not by its weights."""
    names = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values()
    is_known = any(name in names for name in config.architectures or ())
    return is_known or AutoModelForCausalLM.__name__ in getattr(config, "auto_map", {})


def is_seeing_model(config: Any) -> bool:
    """Whether it writes text about images, one token after the other."""
    names = MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES.values()
    return not config.is_encoder_decoder and any(name in names for name in config.architectures or ())


def is_classifier_model(config: Any) -> bool:
    """Whether its weights end in a head that labels whole texts."""
    return any(name.endswith("ForSequenceClassification") for name in config.architectures or ())


def _auto_class(*, is_causal: bool, is_classifier: bool) -> Any:
    if is_classifier:
        return AutoModelForSequenceClassification
    return AutoModelForCausalLM if is_causal else AutoModel


def context_length(config: Any, tokenizer: Any) -> int:
    """Tokens of prompt and answer together."""
    text_config = config.get_text_config()
    bounds = (getattr(text_config, "max_position_embeddings", None), tokenizer.model_max_length)
    return int(min((bound for bound in bounds if bound and bound < _NO_BOUND), default=DEFAULT_CONTEXT_LENGTH))


def _num_positions(model: Any) -> int:
    """RoBERTa and its kin count places from their padding's id on: so many fewer tokens than places fit."""
    table = getattr(getattr(model.base_model, "embeddings", None), "position_embeddings", None)
    if table is None or getattr(table, "padding_idx", None) is None:
        return _NO_BOUND
    return int(table.num_embeddings - table.padding_idx - 1)


def _asked_length(spec: EngineSpec, most: int) -> int:
    asked = spec.options.get("max_model_len", most)
    if not 1 < asked <= most:
        raise LoadError(f"The option max_model_len is {asked}; this model takes 2 to {most} tokens.")
    return int(asked)


def _num_parameters(auto_class: Any, config: Any, *, is_trusted: bool = False) -> int:
    with torch.device("meta"):
        return int(auto_class.from_config(config, trust_remote_code=is_trusted).num_parameters())


def _end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """All that end an answer: a chat model often has one for the turn and one for the text."""
    named = model.generation_config.eos_token_id
    listed = named if isinstance(named, list) else [named]
    return frozenset(token for token in (*listed, tokenizer.eos_token_id) if token is not None)


def _default_sampling(model: Any) -> Sampling:
    recommended = model.generation_config
    temperature = 1.0 if recommended.temperature is None else float(recommended.temperature)
    return Sampling(
        # Said outright, and not just left out, "do not sample" is a recommendation too.
        temperature=0.0 if recommended.do_sample is False else temperature,
        top_p=1.0 if recommended.top_p is None else float(recommended.top_p),
    )


@contextmanager
def _weights_reported(report: Report) -> Iterator[None]:
    """Within: `report` hears which part of the weights is in place."""

    def hook(factory: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if kwargs.get("desc") == "Loading weights" and args and isinstance(args[0], Sized):
            return _counted(args[0], report)
        return factory(*args, **{**kwargs, "disable": True})

    previous = transformers_logging.set_tqdm_hook(hook)
    try:
        yield
    finally:
        transformers_logging.set_tqdm_hook(previous)


def _counted(items: Any, report: Report) -> Iterator[Any]:
    for position, item in enumerate(items):
        report(position / len(items))
        yield item
