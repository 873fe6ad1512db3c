from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from fleet.naming import reservations


class FleetConfig(AppConfig):
    name = "fleet"
    verbose_name = _("Fleet")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from fleet.models import Deployment

        reservations.append(Deployment.why_reserved)
