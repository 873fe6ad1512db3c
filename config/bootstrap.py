"""What the embedded installation needs before its first request: made when missing, left alone when there."""

import json
import os
import secrets
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model

from accounts.models import User
from fleet.enrolment import issue_join_token
from fleet.models import Deployment, LanguageModel, Worker
from fleet.reconciler import reconcile
from gateway.issuing import issue_key
from gateway.models import APIKey
from protocol.tokens import hash_token

ADMIN_USERNAME = "admin"
DEMO_MODEL = "flotilla-demo"
LOCAL_WORKER = "this-machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a newcomer must know to begin; kept in VAR_DIR/credentials.json, readable by its owner only."""

    url: str
    admin_username: str
    admin_password: str
    api_key: str
    model: str


def credentials_path() -> Path:
    return settings.VAR_DIR / "credentials.json"


def ensure_credentials(url: str) -> Credentials:
    """The administrator and the demo key, as known from the file where they still hold, else made anew."""
    known = _known_credentials()
    administrator, password = _ensure_administrator(known.get("admin_password", ""))
    credentials = Credentials(
        url=url,
        admin_username=administrator.get_username(),
        admin_password=password,
        api_key=_ensure_api_key(administrator, known.get("api_key", "")),
        model=DEMO_MODEL,
    )
    _write_private(credentials_path(), json.dumps(asdict(credentials), indent=2) + "\n")
    return credentials


def ensure_demo_deployment() -> None:
    """The built-in model is deployed when no model ever was; an administrator who removed it is not overruled."""
    if LanguageModel.objects.exists():
        return
    model = LanguageModel.objects.create(
        name=DEMO_MODEL, description="A very small model made by Flotilla itself, for the first steps."
    )
    Deployment.objects.create(model=model, source="demo")
    reconcile()


def ensure_join_token(state_dir: Path) -> str | None:
    """A token for the worker beside us, or None where it has joined already."""
    if _has_joined(state_dir):
        return None
    _, token = issue_join_token(LOCAL_WORKER, lifetime=timedelta(hours=1), max_uses=1, created_by=None)
    return token


def _known_credentials() -> dict[str, str]:
    try:
        known = json.loads(credentials_path().read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _ensure_administrator(known_password: str) -> tuple[User, str]:
    """An active superuser and their password; an empty one where a person has chosen it since."""
    administrator = get_user_model().objects.filter(is_superuser=True, is_active=True).order_by("pk").first()
    if administrator is None:
        password = secrets.token_urlsafe(12)
        return get_user_model().objects.create_superuser(ADMIN_USERNAME, password=password), password
    return administrator, known_password if administrator.check_password(known_password) else ""


def _ensure_api_key(owner: User, known_key: str) -> str:
    if known_key and APIKey.objects.usable().filter(key_hash=hash_token(known_key)).exists():
        return known_key
    _, key = issue_key(owner, "demo", expires_at=None)
    return key


def _has_joined(state_dir: Path) -> bool:
    return (state_dir / "credential.json").exists() and Worker.objects.filter(
        name=LOCAL_WORKER, revoked_at=None
    ).exists()


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)
