"""Settings, from the environment: the defaults are right on a laptop, and what production lacks stops the boot."""

from datetime import timedelta
from ipaddress import ip_network

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
    "daphne",
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
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "config.csp.PageContentSecurityPolicy",
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
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "/"
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
else:
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default=REDIS_URL or "filesystem://")
if CELERY_BROKER_URL.startswith("filesystem"):
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
    "fleet.fragments.timeline_fragments",
    "gateway.overview.gateway_fragments",
]
"""Who tells admin's open pages what changed: functions from the kinds asked for to fragments."""
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
USAGE_KEEP_DAYS = env.int("USAGE_KEEP_DAYS", default=400)
"""How long single usage records are kept; their sums by the hour stay."""

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"redact": {"()": "config.redaction.RedactSecrets"}},
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "filters": ["redact"], "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
}
