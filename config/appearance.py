"""How admin looks and what its side bar lists; unfold reads it from the settings."""

from typing import Any

from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _


def _menu(title: Any, icon: str, view: str) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": reverse_lazy(view)}


UNFOLD = {
    "SITE_TITLE": "Flotilla",
    "SITE_HEADER": "Flotilla",
    "SITE_SYMBOL": "sailing",
    "SITE_URL": "/",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("icon.svg")}],
    "SHOW_LANGUAGES": True,
    "SHOW_VIEW_ON_SITE": False,
    "BORDER_RADIUS": "7px",
    "STYLES": [lambda request: static("css/admin.css")],
    "DASHBOARD_CALLBACK": "config.dashboard.overview",
    "COLORS": {
        "primary": {
            "50": "oklch(97.6% .012 205)",
            "100": "oklch(94.6% .025 205)",
            "200": "oklch(89.5% .045 205)",
            "300": "oklch(83% .07 205)",
            "400": "oklch(76% .09 205)",
            "500": "oklch(66% .095 205)",
            "600": "oklch(48.5% .075 205)",
            "700": "oklch(41% .065 207)",
            "800": "oklch(35% .055 208)",
            "900": "oklch(29% .045 210)",
            "950": "oklch(22% .035 212)",
        }
    },
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": [
            {
                "title": _("Fleet"),
                "separator": False,
                "items": [
                    _menu(_("Overview"), "monitoring", "admin:index"),
                    _menu(_("Models"), "neurology", "admin:fleet_languagemodel_changelist"),
                    _menu(_("Routes"), "alt_route", "admin:gateway_route_changelist"),
                    _menu(_("Deployments"), "rocket_launch", "admin:fleet_deployment_changelist"),
                    _menu(_("Workers"), "dns", "admin:fleet_worker_changelist"),
                    _menu(_("Replicas"), "deployed_code", "admin:fleet_replica_changelist"),
                    _menu(_("Providers"), "cloud", "admin:fleet_provider_changelist"),
                    _menu(_("Join tokens"), "confirmation_number", "admin:fleet_jointoken_changelist"),
                ],
            },
            {
                "title": _("Access"),
                "separator": True,
                "items": [
                    _menu(_("API keys"), "key", "admin:gateway_apikey_changelist"),
                    _menu(_("Users"), "person", "admin:accounts_user_changelist"),
                    _menu(_("Invitations"), "mail", "admin:accounts_invitation_changelist"),
                    _menu(_("Teams"), "diversity_3", "admin:accounts_team_changelist"),
                    _menu(_("Groups"), "group", "admin:auth_group_changelist"),
                    _menu(_("Content policies"), "shield", "admin:gateway_contentpolicy_changelist"),
                    _menu(_("Terms of use"), "gavel", "admin:accounts_terms_changelist"),
                    _menu(_("Rules of signing in"), "lock_person", "admin:accounts_signinrules_changelist"),
                    _menu(_("Audit log"), "policy", "admin:audit_auditentry_changelist"),
                ],
            },
            {
                "title": _("Usage"),
                "separator": True,
                "items": [
                    _menu(_("Usage report"), "bar_chart", "usage-all"),
                    _menu(_("Records"), "receipt_long", "admin:gateway_usagerecord_changelist"),
                    _menu(_("Conversations"), "forum", "admin:chat_conversation_changelist"),
                ],
            },
            {
                "title": _("Tasks"),
                "separator": True,
                "items": [
                    _menu(_("Schedule"), "schedule", "admin:django_celery_beat_periodictask_changelist"),
                    _menu(_("Intervals"), "timer", "admin:django_celery_beat_intervalschedule_changelist"),
                    _menu(_("Crontabs"), "calendar_month", "admin:django_celery_beat_crontabschedule_changelist"),
                ],
            },
        ],
    },
}
