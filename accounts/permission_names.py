"""Permissions as people read them: Django keeps their names in English, in the database."""

from django import forms
from django.contrib.auth.models import Permission
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

_ACTS = {"add": _("add"), "change": _("change"), "delete": _("delete"), "view": _("view")}


class PermissionsField(forms.ModelMultipleChoiceField):
    def label_from_instance(self, obj: Permission) -> str:
        act, _underscore, _kind = obj.codename.partition("_")
        return f"{obj.content_type} | {_ACTS[act] if act in _ACTS else gettext(obj.name)}"
