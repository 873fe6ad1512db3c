"""Doors for programs that look after providers."""

from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from fleet.api.management.access import ManagementView, as_validation_error, asked
from fleet.api.management.provider_serializers import Asked, Names, OfferSerializer, ProviderSerializer
from fleet.models import Provider, ProviderModel
from fleet.providing import add_models, ask

_OF_PROVIDER = OpenApiParameter("provider", int, description="Only those of this provider, by its id.")


class Providers(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.CreateModelMixin,
    mixins.UpdateModelMixin,
    mixins.DestroyModelMixin,
    ManagementView,
):
    """Who runs models for us elsewhere. Deleting one deletes what it offers here."""

    queryset = Provider.objects.order_by("name")
    serializer_class = ProviderSerializer
    http_method_names = ("get", "post", "patch", "delete")

    @extend_schema(request=None, responses=Asked)
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: str) -> Response:
        """Ask it for its models, with the address and the key that are saved. Nothing is charged for it."""
        return Response(Asked(ask(self.get_object())).data)

    @extend_schema(request=Names, responses=OfferSerializer(many=True))
    @action(detail=True, methods=["post"], pagination_class=None)
    def import_models(self, request: Request, pk: str) -> Response:
        """Offer some of its models here under their own names; the answer has those that are new."""
        with as_validation_error():
            added = add_models(self.get_object(), **asked(Names, request))
        return Response(OfferSerializer(added, many=True).data)


@extend_schema(parameters=[_OF_PROVIDER])
class Offers(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.CreateModelMixin,
    mixins.UpdateModelMixin,
    mixins.DestroyModelMixin,
    ManagementView,
):
    """Providers' models that answer for ours, and their prices."""

    queryset = ProviderModel.objects.select_related("model", "provider").order_by("provider__name", "model__name", "pk")
    serializer_class = OfferSerializer
    http_method_names = ("get", "post", "patch", "delete")

    def get_queryset(self) -> QuerySet[Any]:
        provider = self.request.query_params.get("provider", "")
        if provider and not provider.isdecimal():
            raise ValidationError({"provider": [_("Give the provider's id, a number.")]})
        rows = super().get_queryset()
        return rows.filter(provider__in=Provider.objects.filter(pk=provider)) if provider else rows
