"""Policies that hold for nobody any more, since what they were for is gone: for the administrators' list."""

from collections.abc import Iterator

from django.urls import reverse
from django.utils.translation import gettext

from fleet.attention import Finding
from gateway.models import ContentPolicy


def idle_policy_findings() -> Iterator[Finding]:
    for policy in ContentPolicy.objects.prefetch_related("for_models", "for_teams"):
        if policy.holds_for_nobody:
            yield Finding(
                tone="warning",
                title=gettext("The content policy “%(name)s” holds for nobody any more") % {"name": policy.name},
                cause=gettext("The models or teams that it was for are deleted."),
                action=gettext("Say for whom it is, or delete it"),
                url=reverse("admin:gateway_contentpolicy_change", args=[policy.pk]),
            )
