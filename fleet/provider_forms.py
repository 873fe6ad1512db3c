"""The forms of providers in admin. A key goes in and never comes out."""

import re
import ssl
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

from django import forms
from django.core.exceptions import ValidationError
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminPasswordWidget, UnfoldBooleanSwitchWidget

from fleet.errors import AddressRefused
from fleet.models import Provider, ProviderModel
from fleet.provider_addresses import check_url
from fleet.provider_presets import PRESETS
from protocol.parameters import CHOICES, DIMENSIONS, GRAMMAR, LOGPROBS, SAMPLING, STRUCTURED, TOOL_CHOICE, VISION

CAPABILITIES = [
    ("chat", _("chat")),
    ("tools", _("tools")),
    ("completions", _("raw completions")),
    ("embeddings", _("embeddings")),
    ("rerank", _("reranking")),
    ("images", _("pictures")),
    ("moderation", _("moderation")),
    ("transcription", _("transcription")),
    (DIMENSIONS, _("shortened embeddings")),
    (VISION, _("seeing pictures")),
    (SAMPLING, _("penalties, bias and other sampling")),
    (LOGPROBS, _("token probabilities")),
    (CHOICES, _("several answers at a time")),
    (TOOL_CHOICE, _("tools that must be called")),
    (STRUCTURED, _("answers by a JSON schema")),
    (GRAMMAR, _("answers by a grammar")),
]
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]{1,64}")
_OUR_OWN_HEADERS = frozenset(
    {"authorization", "x-api-key", "api-key", "cookie", "host", "content-length", "content-type", "accept-encoding"}
    | {"connection", "transfer-encoding", "upgrade"}
)


class ProviderForm(forms.ModelForm):
    api_key = forms.CharField(
        label=_("API key"),
        required=False,
        strip=True,
        max_length=4000,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
    )
    forget_key = forms.BooleanField(label=_("Forget the key"), required=False, widget=UnfoldBooleanSwitchWidget)

    class Meta:
        model = Provider
        fields = (
            "name", "kind", "base_url", "api_key", "forget_key", "is_enabled", "max_requests_per_minute",
            "max_tokens_per_minute", "headers", "api_version", "ca_certificate",
        )  # fmt: skip
        help_texts: ClassVar = {
            "base_url": _("Empty: the usual one of that kind."),
            "max_requests_per_minute": _("What one web process sends there at most. Empty: no limit."),
            "max_tokens_per_minute": _("Of questions and answers, for one web process. Empty: no limit."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        has_key = bool(self.instance.pk and self.instance.credential)
        self.fields["api_key"].help_text = (
            _("A key is set. It is never shown; write another to replace it.") if has_key else _("No key is set.")
        )
        if not has_key:
            self.fields["forget_key"].widget = forms.HiddenInput()

    def clean_headers(self) -> dict[str, str]:
        headers = self.cleaned_data["headers"] or {}
        if not isinstance(headers, Mapping) or not all(map(_is_header, headers.items())):
            raise ValidationError(_("Write a JSON object of names and texts, such as {“X-Title”: “our team”}."))
        if own := sorted(name for name in headers if name.lower() in _OUR_OWN_HEADERS):
            raise ValidationError(_("%(name)s is set by this server itself: leave it out."), params={"name": own[0]})
        return dict(headers)

    def clean_ca_certificate(self) -> str:
        text: str = self.cleaned_data["ca_certificate"]
        if text:
            try:
                ssl.create_default_context(cadata=text)
            except (ssl.SSLError, ValueError) as error:
                raise ValidationError(_("This is no certificate in PEM.")) from error
        return text

    def clean_api_key(self) -> str:
        key: str = self.cleaned_data["api_key"]
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ValidationError(_("A key has no spaces, line breaks or other than ASCII characters."))
        return key

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if self.errors:
            return data
        url = data["base_url"] or PRESETS[data["kind"]].base_url
        if not url:
            self.add_error("base_url", _("Providers of this kind have no usual address: write theirs."))
            return data
        try:
            check_url(url)
        except AddressRefused as error:
            self.add_error("base_url", str(error))
        if self._sends_key_elsewhere(url):
            # Else whoever may edit a provider could have its key sent to a server of their own.
            self.add_error("api_key", _("The address has changed: write the key anew, or forget it."))
        return data

    def keep_key(self, provider: Provider) -> None:
        """The key does not go through the row: it is written by itself, and only when there is another one."""
        if self.cleaned_data["api_key"] or self.cleaned_data["forget_key"]:
            provider.set_credential(self.cleaned_data["api_key"])

    def _sends_key_elsewhere(self, url: str) -> bool:
        before = Provider.objects.filter(pk=self.instance.pk).first()
        if before is None or not before.credential or self.cleaned_data["api_key"] or self.cleaned_data["forget_key"]:
            return False
        return urlsplit(url)[:2] != urlsplit(before.base_url or PRESETS[before.kind].base_url)[:2]


class ProviderModelForm(forms.ModelForm):
    capabilities = forms.MultipleChoiceField(
        label=capfirst(_("capabilities")), choices=CAPABILITIES, widget=UnfoldAdminCheckboxSelectMultipleWidget
    )

    class Meta:
        model = ProviderModel
        fields = (
            "model", "upstream_name", "capabilities", "is_enabled", "max_concurrency", "context_length",
            "max_output_tokens", "input_price", "cached_input_price", "output_price",
        )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        for name in ("input_price", "cached_input_price", "output_price"):
            if (data.get(name) or 0) < 0:
                self.add_error(name, gettext("A price is not negative."))
        return data


class ImportForm(forms.Form):
    """Which of a provider's models to offer here."""

    names = forms.MultipleChoiceField(
        widget=forms.CheckboxSelectMultiple, error_messages={"required": _("Choose at least one.")}
    )

    def __init__(self, names: tuple[str, ...], *args: Any) -> None:
        super().__init__(*args)
        self.fields["names"].choices = [(name, name) for name in names]  # type: ignore[attr-defined]


def _is_header(item: tuple[Any, Any]) -> bool:
    name, value = item
    return (
        isinstance(value, str)
        and _HEADER_NAME.fullmatch(str(name)) is not None
        and value.isascii()
        and value.isprintable()
    )
