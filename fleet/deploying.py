"""What an administrator decides about which models run, and in which version."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import transaction
from django.utils.translation import gettext

from fleet.errors import ActRefused
from fleet.models import Deployment, LanguageModel, Worker
from fleet.reconciler import reconcile


def deploy(model_name: str, pinned_to: Iterable[Worker], fields: Mapping[str, Any]) -> Deployment:
    """Run a model, which is made if callers do not know it yet; on these workers only, if there are any.

    Raises ValidationError, which names the fields.
    """
    with transaction.atomic():
        model = LanguageModel.objects.filter(name=model_name).first() or LanguageModel(name=model_name)
        model.full_clean()
        model.save()
        deployment = Deployment(model=model, **fields)
        deployment.full_clean()
        deployment.save()
        deployment.pinned_to.set(pinned_to)
    reconcile()
    return deployment


def change(deployment: Deployment, fields: Mapping[str, Any]) -> bool:
    """Run another version of it: its replicas are replaced. False: nothing is different.

    Raises ValidationError, which names the fields, and ActRefused when somebody else has just changed it.
    """
    before = {name: getattr(deployment, name) for name in fields}
    if before == dict(fields):
        return False
    for name, value in fields.items():
        setattr(deployment, name, value)
    deployment.full_clean()
    if not Deployment.objects.filter(pk=deployment.pk, **before).update(**fields, changed_by=None):
        raise ActRefused(gettext("Somebody else has just changed it. Look again, and decide anew."))
    reconcile()
    return True
