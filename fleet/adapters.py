"""Rule: what is wrong with the LoRA adapters that a deployment lists, or with those that a replica has."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from fleet.models.language_model import MODEL_NAME, LanguageModel
from fleet.naming import why_reserved
from protocol.engines import ENGINE_KINDS

MAX_ADAPTERS = 64
_LONGEST_NAME = 100
_LONGEST_SOURCE = 500


def adapter_faults(engine: str, adapters: Any, own: Collection[str]) -> Iterator[str]:
    """Each says what to write instead. `own`: names of adapters that the model has already."""
    if not isinstance(adapters, dict) or not all(isinstance(source, str) for source in adapters.values()):
        yield _('Write a JSON object of names and sources: {"support": "/adapters/support"}.')
        return
    kind = ENGINE_KINDS.get(engine)
    if adapters and not (kind and kind.has_adapters):
        yield _("%(engine)s cannot serve adapters here. Leave {}.") % {"engine": engine}
    if len(adapters) > MAX_ADAPTERS:
        yield _("One deployment has up to %(max)d adapters.") % {"max": MAX_ADAPTERS}
    for name, source in adapters.items():
        yield from _faults_of(name, source)
        if name not in own and (why := why_reserved(name)):
            yield str(why)


def _faults_of(name: str, source: str) -> Iterator[str]:
    try:
        MODEL_NAME(name)
    except ValidationError as error:
        yield f"{name}: {error.messages[0]}"
    if len(name) > _LONGEST_NAME or not 0 < len(source) <= _LONGEST_SOURCE:
        yield _("%(name)s: a name has up to 100 characters, a source 1 to 500.") % {"name": name[:_LONGEST_NAME]}
    if LanguageModel.objects.filter(name=name).exists():
        yield _("There is a model named “%(name)s”. Choose another name for the adapter.") % {"name": name}


def failing_adapters(states: Mapping[str, str]) -> str:
    """A line for each that cannot be used, by what a replica reports."""
    failing = ((name, why) for name, why in states.items() if why)
    return "\n".join(_("Adapter %(name)s: %(why)s") % {"name": name, "why": why} for name, why in failing)
