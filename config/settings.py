"""Settings, from the environment: the defaults are right on a laptop, and what production lacks stops the boot."""

import sys
from datetime import timedelta
from ipaddress import ip_network

from django.core.exceptions import ImproperlyConfigured

from config import appearance
from config.environment import BASE_DIR, VAR_DIR, env, local_secret

DEBUG = env.bool("DEBUG", default=False)

DATABASES = {"default": env.db_url("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'flotilla.sqlite3'}")}
IS_EMBEDDED = DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3"
"""One machine, SQLite: secrets may be made here. With a database server they must come from the environment."""

if IS_EMBEDDED:
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
    DATABASES["default"]["TEST"] = {"NAME": str(VAR_DIR / "test.sqlite3")}

SECRET_KEY = env.str("SECRET_KEY", default="") or (local_secret("secret_key") if IS_EMBEDDED else env.str("SECRET_KEY"))
ENCRYPTION_KEY = env.str("ENCRYPTION_KEY", default="") or (
    local_secret("encryption_key") if IS_EMBEDDED else env.str("ENCRYPTION_KEY")
)
"""What secrets at rest (workers', providers') are encrypted with; losing it means enrolling the workers again."""

ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["*"] if IS_EMBEDDED else [])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
BEHIND_TLS = env.bool("BEHIND_TLS", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BEHIND_TLS
if BEHIND_TLS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 31_536_000

INSTALLED_APPS = [
    # Its Twisted costs every process a quarter of a second and 16 MB.
    *(["daphne"] if sys.argv[1:2] == ["runserver"] else []),
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.forms",
    "rest_framework",
    "drf_spectacular",
    "channels",
    "django_celery_beat",
    "csp",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "audit",
    "accounts",
    "fleet",
    "gateway",
    "chat",
    "config",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "accounts.terms.TermsFirst",
    "accounts.factors.FactorFirst",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "config.csp.PageContentSecurityPolicy",
    "config.wrong_method.WrongMethodPage",
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "django.template.context_processors.i18n",
            ],
        },
    },
]

FORM_RENDERER = "django.forms.renderers.TemplatesSetting"

AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "/"

# --- Sign-in ---------------------------------------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_EMAIL_SUBJECT_PREFIX = "Flotilla: "
ACCOUNT_FORMS = {"reset_password": "accounts.forgotten.ForgottenForm"}
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_SIGNUP_FIELDS = ["username*", "email", "password1*", "password2*"]
ACCOUNT_PREVENT_ENUMERATION = False
"""A name that is taken is said to be taken: the other way needs mail, which an installation may not have."""
MFA_ADAPTER = "accounts.factors.FactorAdapter"
MFA_FORMS = {"authenticate": "accounts.factors.SecondFactorForm", "add_webauthn": "accounts.factors.AddPasskeyForm"}
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "Flotilla"
# Half a minute either way: phones' clocks are off, and people type slowly (RFC 6238, 5.2).
MFA_TOTP_TOLERANCE = 1
OIDC_CREATES_ACCOUNTS = env.bool("OIDC_CREATES_ACCOUNTS", default=False)
"""Whether whoever the provider knows gets an account, whatever SIGN_UP says."""
SOCIALACCOUNT_ADAPTER = "accounts.social.ProviderAdapter"
SOCIALACCOUNT_LOGIN_ON_GET = True
"""A link, not a form: browsers hold our form-action against every further address that the provider sends them to."""
SOCIALACCOUNT_REAUTHENTICATION_REQUIRED = True
SOCIALACCOUNT_PROVIDERS = {}
if OIDC_SERVER_URL := env.str("OIDC_SERVER_URL", default=""):
    SOCIALACCOUNT_PROVIDERS["openid_connect"] = {
        "OAUTH_PKCE_ENABLED": True,
        "APPS": [
            {
                "provider_id": "main",
                "name": env.str("OIDC_NAME", default="OpenID Connect"),
                "client_id": env.str("OIDC_CLIENT_ID"),
                "secret": env.str("OIDC_CLIENT_SECRET"),
                "settings": {"server_url": OIDC_SERVER_URL},
            }
        ],
    }
SIGN_UP = env.str("SIGN_UP", default="closed")
"""Who may make an account: open (anybody), invitation, or closed (administrators make them)."""
if SIGN_UP not in ("open", "invitation", "closed"):
    raise ImproperlyConfigured(f"SIGN_UP is {SIGN_UP!r}; it is one of open, invitation and closed.")
SIGN_IN_ATTEMPTS = env.int("SIGN_IN_ATTEMPTS", default=5)
SIGN_IN_LOCKED = timedelta(seconds=env.int("SIGN_IN_LOCKED_S", default=300))
"""How many wrong passwords a name has from one address, or from a browser that knew the right one, in that time."""
SIGN_IN_ATTEMPTS_PER_ADDRESS = env.int("SIGN_IN_ATTEMPTS_PER_ADDRESS", default=30)
"""Within a minute, whatever the names."""
ACCOUNT_RATE_LIMITS = {
    # Only what fails is counted: others at an attacker's address must be able to sign in.
    "login": None,
    # Where allauth asks for itself: wrong codes of a second factor, by person.
    "login_failed": f"{SIGN_IN_ATTEMPTS}/{SIGN_IN_LOCKED.total_seconds():.0f}s/key",
}

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = env.str("LANGUAGE_CODE", default="en")
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
FORMAT_MODULE_PATH = "config.formats"
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = env.str("TIME_ZONE", default="UTC")
USE_TZ = True

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = VAR_DIR / "static"
STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # WhiteNoise warns where it is missing; empty until collectstatic
WHITENOISE_USE_FINDERS = True

REDIS_URL = env.str("REDIS_URL", default="")
if REDIS_URL:
    CHANNEL_LAYERS = {
        "default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [REDIS_URL]}}
    }
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}}
elif IS_EMBEDDED:
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "OPTIONS": {"MAX_ENTRIES": 20_000}}
    }
else:
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    # Several web processes count the attempts to sign in together.
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.db.DatabaseCache",
            "LOCATION": "flotilla_cache",
            "OPTIONS": {"MAX_ENTRIES": 20_000},
        }
    }

CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default=REDIS_URL or "filesystem://")
if CELERY_BROKER_URL.startswith("filesystem"):
    CELERY_BROKER_TRANSPORT = "config.file_broker.Transport"
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(VAR_DIR / "broker"),
        "data_folder_out": str(VAR_DIR / "broker"),
        "control_folder": str(VAR_DIR / "broker-control"),
    }
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_TIME_LIMIT = 600
CELERY_TIMEZONE = TIME_ZONE

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "gateway.api.management_key.ManagementKeyAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Flotilla",
    "VERSION": "0.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "OAS_VERSION": "3.1.1",
    "POSTPROCESSING_HOOKS": ["gateway.api.schema.add_components"],
}

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    },
}

ADMIN_CONTENT_SECURITY_POLICY = {
    **CONTENT_SECURITY_POLICY["DIRECTIVES"],
    # unfold's Alpine evaluates its attributes, and its colours are an inline style; no inline script even there.
    "script-src": ["'self'", "'unsafe-eval'"],
    "style-src": ["'self'", "'unsafe-inline'"],
}

UNFOLD = appearance.UNFOLD
LIVE_SOURCES = [
    "fleet.fragments.fleet_fragments",
    "fleet.fragments.history_fragments",
    "gateway.overview.gateway_fragments",
]
"""Who tells admin's open pages what changed: functions from the kinds asked for to fragments."""
FINDING_SOURCES = ["gateway.budget_warnings.budget_findings", "gateway.moderation.idle.idle_policy_findings"]
"""Who else has something for the list of what needs attention: functions that give fleet.attention.Finding."""
LIVE_INTERVAL = timedelta(seconds=env.float("LIVE_INTERVAL_S", default=1))
"""How often an open admin page looks for changes."""

# --- Fleet -----------------------------------------------------------------------------------------------------------
HEARTBEAT_INTERVAL = timedelta(seconds=env.float("HEARTBEAT_INTERVAL_S", default=5))
SILENT_AFTER = 3 * HEARTBEAT_INTERVAL
"""A worker unheard of for this long is silent: its replicas get no traffic."""
OVERDUE_AFTER = 1.5 * HEARTBEAT_INTERVAL
"""After this long the silence of a worker that does not answer a probe either is believed."""
MOVE_AFTER = timedelta(seconds=env.float("MOVE_AFTER_S", default=60))
"""A worker missed for this long loses its replicas to others, unless they are pinned to it. Longer than a worker's
back-off, so that a restart of the server moves nothing."""
ROLLOUT_PROVING = timedelta(seconds=env.float("ROLLOUT_PROVING_S", default=10))
"""How long a changed deployment's new replica must answer well before the old one goes."""
_PRIVATE_NETWORKS = ["127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"]
WORKER_NETWORKS = [str(ip_network(network)) for network in env.list("WORKER_NETWORKS", default=_PRIVATE_NETWORKS)]
"""Where workers may live; an advertised address outside is refused at enrolment."""
PROVIDER_NETWORKS = [
    str(ip_network(network))
    for network in env.list("PROVIDER_NETWORKS", default=["127.0.0.0/8", "::1/128"] if IS_EMBEDDED else [])
]
"""Where providers may live beside the public network, also without TLS."""
TIMELINE_KEEP_DAYS = env.int("TIMELINE_KEEP_DAYS", default=30)
TIMELINE_KEEP_NUM = env.int("TIMELINE_KEEP_NUM", default=1000)
"""How long a worker's changes of state are kept, and how many of them at most."""

# --- Gateway ---------------------------------------------------------------------------------------------------------
SNAPSHOT_INTERVAL = timedelta(seconds=env.float("SNAPSHOT_INTERVAL_S", default=0.5))
"""How often a web process looks for changed keys, models and replicas."""
JOURNAL_DIR = VAR_DIR / "journal"
MAX_BODY_BYTES = env.int("MAX_BODY_BYTES", default=8 * 1024 * 1024)
MAX_AUDIO_BYTES = env.int("MAX_AUDIO_BYTES", default=25 * 1024 * 1024)
"""Of a recording that is to be transcribed."""
MAX_IMAGES = env.int("MAX_IMAGES", default=16)
MAX_IMAGE_BYTES = env.int("MAX_IMAGE_BYTES", default=20 * 1024 * 1024)
"""How many images a request may hold or link to, and how large they may be together."""
IMAGE_TIMEOUT = timedelta(seconds=env.float("IMAGE_TIMEOUT_S", default=10))
"""How long it may take to fetch those that a request links to."""
IMAGE_NETWORKS = [str(ip_network(network)) for network in env.list("IMAGE_NETWORKS", default=[])]
"""Where images are fetched from beside the public network."""
BODY_TIMEOUT = timedelta(seconds=env.float("BODY_TIMEOUT_S", default=60))
"""How long a client may take to send a request's body."""
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
UPSTREAM_CONNECT_TIMEOUT = timedelta(seconds=env.float("UPSTREAM_CONNECT_TIMEOUT_S", default=3))
UPSTREAM_READ_TIMEOUT = timedelta(seconds=env.float("UPSTREAM_READ_TIMEOUT_S", default=300))
"""How long an engine may stay silent in one request before it counts as failed."""
QUEUE_LENGTH = env.int("QUEUE_LENGTH", default=2000)
"""How many requests may wait for one model in one web process, where the model does not say."""
QUEUE_WAIT = timedelta(seconds=env.float("QUEUE_WAIT_S", default=120))
"""How long a request may wait, where the model does not say."""
QUEUE_MAX_REQUESTS = env.int("QUEUE_MAX_REQUESTS", default=10_000)
QUEUE_MAX_BYTES = env.int("QUEUE_MAX_BYTES", default=256 * 1024 * 1024)
"""What may wait in one web process for all models together: so many requests, and so much of their bodies."""
RETURN_WITHIN = timedelta(seconds=env.float("RETURN_WITHIN_S", default=10))
"""How soon a worker that was there a moment ago is hoped to be back: so long its requests wait without any news."""
CURRENCY = env.str("CURRENCY", default="USD")
"""Of all prices, costs and budgets; amounts are not converted when it changes."""
EMAIL_URL = env.str("EMAIL_URL", default="")
"""smtp+tls://user:password@host:587; empty: nothing is mailed."""
vars().update(env.email_url_config(EMAIL_URL or "dummymail://"))
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.str("EMAIL_FROM", default="flotilla@localhost")
USAGE_KEEP_DAYS = env.int("USAGE_KEEP_DAYS", default=400)
"""How long single usage records are kept; their sums by the hour stay."""
CORS_ALLOWED_ORIGINS = env.list("CORS_ALLOWED_ORIGINS", default=[])
"""Whose pages may call the API from a browser: https://tool.example.com; * for any."""
RESPONSES_KEEP_DAYS = env.int("RESPONSES_KEEP_DAYS", default=30)
RESPONSES_KEEP_NUM = env.int("RESPONSES_KEEP_NUM", default=10_000)
"""How long /v1/responses keeps what its callers have it keep, and how many for each of them."""

AUDIT_KEEP_DAYS = env.int("AUDIT_KEEP_DAYS", default=0)
"""How long entries of the audit log are kept; 0: for ever."""

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "redact": {
            "()": "protocol.redaction.RedactSecrets",
            "masks_personal_data": env.bool("LOG_MASK_PERSONAL_DATA", default=True),
        }
    },
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "filters": ["redact"], "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
}
