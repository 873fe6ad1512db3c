"""What an administrator decides about providers: who they are, what they offer here and at what price."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.forms import ModelForm, model_to_dict
from django.utils.translation import gettext

from fleet.errors import ProviderFault
from fleet.models import LanguageModel, Provider, ProviderModel
from fleet.provider_catalogue import Catalogue, import_models, read_catalogue
from fleet.provider_forms import ProviderForm, ProviderModelForm
from fleet.provider_probes import note_probe


def save_provider(provider: Provider, given: Mapping[str, Any]) -> Provider:
    """Change it, or make it of a new row; what is not given stays. `api_key` replaces its key, `forget_key` deletes it.

    Raises ValidationError, which names the fields.
    """
    form = ProviderForm(_whole(ProviderForm, provider, given), instance=provider)
    _check(form)
    with transaction.atomic():
        form.keep_key(form.save())
    return Provider.objects.get(pk=provider.pk)


def save_offer(offer: ProviderModel, given: Mapping[str, Any]) -> ProviderModel:
    """As save_provider; the model is called by the name that callers use, and made if they do not know it yet."""
    with transaction.atomic():
        named = {"model": _model_called(given["model"]).pk} if "model" in given else {}
        form = ProviderModelForm(_whole(ProviderModelForm, offer, {**given, **named}), instance=offer)
        _check(form)
        saved: ProviderModel = form.save()
    return saved


def ask(provider: Provider) -> Catalogue:
    """What it has; how it went is noted. Raises ProviderFault, which has the provider's own words."""
    try:
        catalogue = read_catalogue(provider)
    except ProviderFault as fault:
        note_probe(provider, fault)
        raise
    note_probe(provider, None)
    return catalogue


def add_models(provider: Provider, names: Sequence[str]) -> list[ProviderModel]:
    """Offer these of its models under their own names; those that are new.

    Raises ProviderFault, and ValidationError for what it does not have.
    """
    there = set(read_catalogue(provider).names)
    if unknown := [name for name in names if name not in there]:
        words = gettext("%(provider)s has no model “%(name)s”. See what it has by testing it.")
        raise ValidationError({"names": words % {"provider": provider.name, "name": unknown[0]}})
    return import_models(provider, names)


def _whole(kind: type[ModelForm], row: Provider | ProviderModel, given: Mapping[str, Any]) -> dict[str, Any]:
    return model_to_dict(row, fields=kind.base_fields) | dict(given)


def _check(form: ModelForm) -> None:
    if not form.is_valid():
        raise ValidationError(form.errors.as_data())


def _model_called(name: str) -> LanguageModel:
    model = LanguageModel.objects.filter(name=name).first()
    if model is None:
        model = LanguageModel(name=name)
        try:
            model.full_clean()
        except ValidationError as error:
            raise ValidationError({"model": error.messages}) from error
        model.save()
    return model
