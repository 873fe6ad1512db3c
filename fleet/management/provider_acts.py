"""`manage.py fleet`, as far as it is about providers."""

import getpass
import sys
from collections.abc import Callable
from typing import Any

from fleet.management.naming import find_offer, find_provider
from fleet.management.provider_tables import provider_values, providers_text
from fleet.models import Provider, ProviderKind, ProviderModel
from fleet.providing import add_models, ask, save_offer, save_provider

Add = Callable[[Any, str, Callable[..., None], str], Any]
_FIELDS = ("name", "kind", "base_url", "api_version", "max_requests_per_minute", "max_tokens_per_minute", "is_enabled")
_OFFER_FIELDS = ("input_price", "cached_input_price", "output_price", "max_concurrency", "context_length", "is_enabled")


class ProviderActs:
    """Mixed into the command, which shows and tells."""

    _show: Callable[..., None]
    _tell: Callable[..., None]

    def add_provider_acts(self, acts: Any, add: Add) -> None:
        make = _with_fields(add(acts, "add-provider", self.add_provider, "let somebody else run models for you"))
        make.add_argument("name")
        change = _with_fields(add(acts, "change-provider", self.change_provider, "its address, its key, its limits"))
        change.add_argument("provider")
        change.add_argument("--name", help="another one")
        add(acts, "test-provider", self.test_provider, "ask it for its models").add_argument("provider")
        fetch = add(acts, "import-models", self.import_models, "offer a provider's models under their own names")
        fetch.add_argument("provider")
        fetch.add_argument("names", nargs="+", metavar="NAME", help="as the provider calls it")
        offer = add(acts, "offer", self.offer, "let a provider's model answer for one of yours; set its price")
        offer.add_argument("provider")
        offer.add_argument("upstream_name", metavar="NAME", help="as the provider calls it")
        offer.add_argument("--model", help="the name that callers use; without it, the provider's")
        for price in ("input", "cached-input", "output"):
            offer.add_argument(f"--{price}-price", type=float, metavar="P", help="for a million tokens")
        offer.add_argument("--max-concurrency", type=int, help="requests at a time")
        offer.add_argument("--context-length", type=int)
        _with_switch(offer)
        add(acts, "remove-provider", self.remove_provider, "and all that it offers").add_argument("provider")

    def providers(self, given: dict[str, Any]) -> None:
        rows = list(ProviderModel.objects.select_related("model", "provider").order_by("provider__name", "model__name"))
        providers = list(Provider.objects.all())
        self._show(given, provider_values(providers, rows), providers_text(providers, rows))

    def add_provider(self, given: dict[str, Any]) -> None:
        provider = save_provider(Provider(), _given(given, _FIELDS) | _key(given))
        self._tell(True, f"{provider} is added. Test it: manage.py fleet test-provider {provider}")

    def change_provider(self, given: dict[str, Any]) -> None:
        provider = save_provider(find_provider(given["provider"]), _given(given, _FIELDS) | _key(given))
        self._tell(True, f"{provider} is changed.")

    def test_provider(self, given: dict[str, Any]) -> None:
        provider = find_provider(given["provider"])
        found = ask(provider)
        self._tell(True, "\n".join([f"{provider} answered in {found.elapsed_ms} ms. It has:", *found.names]))

    def import_models(self, given: dict[str, Any]) -> None:
        added = add_models(find_provider(given["provider"]), given["names"])
        self._tell(added, "\n".join(f"{offer} is offered." for offer in added))

    def offer(self, given: dict[str, Any]) -> None:
        provider, upstream_name = find_provider(given["provider"]), given["upstream_name"]
        offer = find_offer(provider, upstream_name, given["model"])
        fields = _given(given, _OFFER_FIELDS)
        if offer is None:
            fields |= {"upstream_name": upstream_name, "model": given["model"] or upstream_name}
        offer = save_offer(offer or ProviderModel(provider=provider), fields)
        self._tell(True, f"{offer} is offered.")

    def remove_provider(self, given: dict[str, Any]) -> None:
        provider = find_provider(given["provider"])
        name = str(provider)
        provider.delete()
        self._tell(True, f"{name} is removed, with all that it offered.")


def _with_fields(parser: Any) -> Any:
    parser.add_argument("--kind", choices=ProviderKind.values)
    parser.add_argument("--base-url", help="up to and with the version, such as /v1")
    parser.add_argument("--key", action="store_true", dest="asks_for_key", help="read an API key from standard input")
    parser.add_argument("--forget-key", action="store_true")
    parser.add_argument("--api-version")
    parser.add_argument("--max-requests-per-minute", type=int, metavar="N", help="of one web process")
    parser.add_argument("--max-tokens-per-minute", type=int, metavar="N", help="of one web process")
    return _with_switch(parser)


def _with_switch(parser: Any) -> Any:
    parser.add_argument("--enable", action="store_true", default=None, dest="is_enabled")
    parser.add_argument("--disable", action="store_false", default=None, dest="is_enabled")
    return parser


def _given(given: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: given[name] for name in names if given.get(name) is not None}


def _key(given: dict[str, Any]) -> dict[str, Any]:
    """Not as an argument: everybody on the machine could read it there."""
    if not given["asks_for_key"]:
        return {"forget_key": given["forget_key"]}
    return {"api_key": getpass.getpass("API key: ") if sys.stdin.isatty() else sys.stdin.readline().strip()}
