"""The one settings file. Every value that differs between places comes from the environment or `.env`.

`.env.example` lists the variables. With DEBUG off, the last lines refuse to start on a configuration that is not
safe (`unsafe_settings.py`), one line a problem.
"""

import hashlib
import hmac
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from .api_settings import REST_FRAMEWORK as REST_FRAMEWORK  # a setting
from .caches import caches
from .cors_headers import ALLOWED_HEADERS
from .database import connection_options, time_limits
from .environment import (
    amounts,
    broker_address,
    count,
    currency,
    database,
    days,
    label,
    milliseconds,
    one_of,
    origins,
    people,
    port,
    positive_count,
    read,
    redis_address,
    site,
    time_zone,
    within,
    words,
)
from .logging_config import LOG_REDACTORS as LOG_REDACTORS
from .logging_config import read_logging, read_sentry, slow_limits
from .media_storage import media_storage
from .openapi import VERSION as VERSION
from .openapi import spectacular_settings
from .openapi_descriptions import API_DESCRIPTION as API_DESCRIPTION
from .rate_limits import PRESETS, rate_limits
from .schedule import CELERY_BEAT_SCHEDULE as CELERY_BEAT_SCHEDULE  # a setting
from .shop_identity import read_identity
from .unfold_settings import unfold_settings
from .unsafe_settings import problems_of

BASE_DIR = Path(__file__).resolve().parent.parent

DEBUG = read("DEBUG", False, cast=bool)
LOCAL_KEY = "local-development-key-never-used-with-debug-off-0123456789"
SECRET_KEY = read("SECRET_KEY", LOCAL_KEY if DEBUG else "")
# Our own rule (unsafe_settings.py) lets 256 random bits pass: in base64 these are 44 characters, Django would have 50.
# The site of a passkey is that of the request (apps/authentication/second_factor/passkeys.py).
SILENCED_SYSTEM_CHECKS = ["security.W009", "otp_webauthn.E010", "otp_webauthn.E030"]
ALLOWED_HOSTS = read("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"] if DEBUG else [], cast=words)
# Render names its own host of a web service in this variable.
if _RENDER_HOST := read("RENDER_EXTERNAL_HOSTNAME"):
    ALLOWED_HOSTS = [*ALLOWED_HOSTS, _RENDER_HOST]
INTERNAL_IPS = ["127.0.0.1", "::1"]  # who sees what is for developers, where DEBUG is on
SHOP_NAME, SHOP_LOGO, SHOP_CONTACT, SHOP_SELLER, TAX_RATE = read_identity(debug=DEBUG)

# --- Applications ---------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "apps.core",  # before unfold and post_office: it replaces a template, and the command that sends mail
    "unfold",  # before django.contrib.admin: it replaces the templates
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "corsheaders",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_otp",
    "django_otp.plugins.otp_static",
    "django_otp.plugins.otp_totp",
    "django_otp_webauthn",
    "post_office",
    "rest_framework",
    "apps.users",
    "apps.authentication",
    "apps.vouchers",
    "apps.payments",
    "apps.analytics",
    "shop",
]

MIDDLEWARE = [
    "apps.core.middleware.RequestIdMiddleware",
    "apps.core.response_cache.ResponseCacheMiddleware",  # outside all that sets headers
    "apps.core.security_headers.SecurityHeadersMiddleware",  # outside all that may answer
    "apps.core.middleware.OriginMiddleware",
    "apps.core.middleware.ProblemDetailsMiddleware",  # outside all that may refuse a request
    "apps.core.hosts.HostMiddleware",  # before all that reads the host
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "apps.core.page_middleware.RejectNulQueryMiddleware",
    "apps.core.page_middleware.AdminRateLimitStatusMiddleware",
    "apps.core.middleware.EtagMiddleware",
    "apps.core.page_middleware.PageSessionMiddleware",
    "apps.core.page_middleware.SlashMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "apps.core.page_middleware.PageAuthenticationMiddleware",
    "apps.authentication.middleware.SecondFactorMiddleware",
    "apps.core.page_middleware.PageMessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

# A toolbar on each page, for who develops: its queries, templates and time.
DEBUG_TOOLBAR = DEBUG and read("DEBUG_TOOLBAR", False, cast=bool)
if DEBUG_TOOLBAR:
    if not find_spec("debug_toolbar"):
        raise ImproperlyConfigured("DEBUG_TOOLBAR=True needs pip install -r requirements-dev.txt")
    INSTALLED_APPS.append("debug_toolbar")
    # Inside what compares a page with the browser's: each has a toolbar of its own.
    _place = MIDDLEWARE.index("apps.core.middleware.EtagMiddleware") + 1
    MIDDLEWARE.insert(_place, "debug_toolbar.middleware.DebugToolbarMiddleware")

ROOT_URLCONF = "voucher_project.urls"
WSGI_APPLICATION = "voucher_project.wsgi.application"
ASGI_APPLICATION = "voucher_project.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "users.User"
TEST_RUNNER = "tests.support.runner.Runner"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- Database and cache ---------------------------------------------------------------------------------------

ALLOW_SQLITE = read("ALLOW_SQLITE", DEBUG, cast=bool)
DATABASES = {
    "default": read("DATABASE_URL", cast=database)
    or dj_database_url.parse(f"sqlite:///{BASE_DIR / 'db.sqlite3'}")
}
# A pooler (PgBouncer in transaction mode) stands at DATABASE_URL; PostgreSQL itself at DATABASE_DIRECT_URL.
DATABASE_POOLED = read("DATABASE_POOLED", False, cast=bool)
DATABASE_TIME_LIMITS = time_limits(
    statement_ms=read("DATABASE_STATEMENT_TIMEOUT_MS", 5000, cast=milliseconds),
    lock_ms=read("DATABASE_LOCK_TIMEOUT_MS", 2000, cast=milliseconds),
)
DATABASES["default"] |= connection_options(
    DATABASES["default"], limits=DATABASE_TIME_LIMITS, pooled=DATABASE_POOLED
)
# For what changes settings of its session: migrations. Where there is no pooler, as DATABASES.
DATABASE_DIRECT = read("DATABASE_DIRECT_URL", cast=database) or {}
if DATABASE_DIRECT:
    DATABASE_DIRECT |= connection_options(DATABASE_DIRECT, limits=DATABASE_TIME_LIMITS)

REDIS_URL = read("REDIS_URL", cast=redis_address)
CACHES = caches(REDIS_URL)

# --- People ---------------------------------------------------------------------------------------------------

PASSWORD_HASHERS = ["apps.users.passwords.Argon2idPasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "apps.users.passwords.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
    {"NAME": "apps.users.passwords.MaximumLengthValidator"},
]
PASSWORD_RESET_TIMEOUT = 3600  # seconds
EMAIL_CONFIRMATION_TIMEOUT = 86400  # seconds
KEEP_ENDED_SESSIONS = timedelta(days=30)
LOGIN_REDIRECT_URL = "/admin/"
STAFF_SECOND_FACTOR = read("STAFF_SECOND_FACTOR", not DEBUG, cast=bool)
OTP_TOTP_ISSUER = OTP_WEBAUTHN_RP_NAME = SHOP_NAME
OTP_TOTP_THROTTLE_FACTOR = OTP_STATIC_THROTTLE_FACTOR = 0  # LIMIT_SECOND_FACTOR counts

# A key of its own, so that a leaked token key opens neither sessions nor password resets.
JWT_SIGNING_KEY = read(
    "JWT_SIGNING_KEY", hmac.new(SECRET_KEY.encode(), b"jwt signing key", hashlib.sha256).hexdigest()
)
# Still believed, never used to sign: the key from before, while its tokens run out.
JWT_PREVIOUS_SIGNING_KEY = read("JWT_PREVIOUS_SIGNING_KEY")
SIMPLE_JWT = {
    "SIGNING_KEY": JWT_SIGNING_KEY,
    "ISSUER": "voucher-app",
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=60),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=7),
    "LEEWAY": 30,  # seconds that the clocks of two servers may differ
}

# --- API ------------------------------------------------------------------------------------------------------

MAX_BODY_BYTES = 256 * 1024
MAX_UPLOAD_BYTES = 5 * 1024 * 1024
# Stripe's events hold whole objects, and those of other business on the account may be long.
BODY_LIMITS = {"/api/payments/webhook/": 4 * 1024 * 1024}
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

# Answers that are kept, by address, with the function that returns their ETag: core/response_cache.py. None where the
# toolbar writes headers of its own on each.
RESPONSE_CACHE = {} if DEBUG_TOOLBAR else {"/api/vouchers/types/": "apps.vouchers.type_list.etag"}

CORS_URLS_REGEX = r"^/api/"
# Where the development servers of web clients listen: create-react-app and Next, Vite, Angular, Vue.
DEVELOPMENT_ORIGINS = [
    f"http://{host}:{port}" for port in (3000, 5173, 4200, 8080) for host in ("localhost", "127.0.0.1")
]
CORS_ALLOWED_ORIGINS = read("CORS_ALLOWED_ORIGINS", DEVELOPMENT_ORIGINS if DEBUG else [], cast=origins)
CORS_ALLOW_CREDENTIALS = True
CORS_ALLOW_HEADERS = [*ALLOWED_HEADERS, *read("CORS_EXTRA_HEADERS", [], cast=words)]
CORS_EXPOSE_HEADERS = ["ETag", "Retry-After", "X-Request-ID", "Idempotent-Replayed", "Content-Disposition"]
CSRF_COOKIE_DOMAIN = read("CSRF_COOKIE_DOMAIN") or None
CSRF_TRUSTED_ORIGINS = [origin for origin in CORS_ALLOWED_ORIGINS if origin != "*"]
API_URL = read(
    "API_URL", "http://localhost:8000" if DEBUG else f"https://{(ALLOWED_HOSTS or [''])[0]}", cast=site
)
REFERENCE_SHOP = read("REFERENCE_SHOP", DEBUG, cast=bool)
# The shop is beside the API: with DEBUG where `make run` and `runserver` say that they are, as a cookie of localhost is
# none of 127.0.0.1.
_SHOP_URL = read("API_URL", "http://127.0.0.1:8000", cast=site) if DEBUG else API_URL
_FRONTEND = "http://localhost:3000" if DEBUG else ""
FRONTEND_URL = read("FRONTEND_URL", _SHOP_URL if REFERENCE_SHOP else _FRONTEND, cast=site)

# --- Limits ---------------------------------------------------------------------------------------------------

RATE_LIMITS_ENABLED = read("RATE_LIMITS_ENABLED", True, cast=bool)
LIMITS = read("LIMITS", "normal", cast=one_of(*PRESETS))
globals().update(rate_limits(LIMITS))  # LIMIT_…, each (how many, in how many seconds)
# An IPv6 /48 has this many times the limit of one of its /64.
LIMIT_WIDE_NETWORK_TIMES = read("LIMIT_WIDE_NETWORK_TIMES", 4, cast=positive_count)

# --- Vouchers -------------------------------------------------------------------------------------------------

# Seconds from a refused redemption to its row in the figures at most; None: only when write_refusals is called.
WRITE_REFUSALS_EVERY: float | None = 10
KEEP_REFUSALS = timedelta(days=3 * 366)
REVERSAL_WINDOW_DAYS = read("REVERSAL_WINDOW_DAYS", 7, cast=within(0, 3660))

# --- Money ----------------------------------------------------------------------------------------------------

DEFAULT_CURRENCY = read("DEFAULT_CURRENCY", "USD", cast=currency)

STRIPE_SECRET_KEY = read("STRIPE_SECRET_KEY")
STRIPE_PUBLISHABLE_KEY = read("STRIPE_PUBLISHABLE_KEY")
# An empty one, as after a last comma, would be a secret that everybody knows.
STRIPE_WEBHOOK_SECRETS = [secret for secret in read("STRIPE_WEBHOOK_SECRET", [], cast=words) if secret]
STRIPE_TEST_MODE = read("STRIPE_TEST_MODE", False, cast=bool)
STRIPE_API_BASE = read("STRIPE_API_BASE", "https://api.stripe.com")
if DEBUG and not STRIPE_SECRET_KEY:
    STRIPE_SECRET_KEY = "sk_test_local"
    STRIPE_PUBLISHABLE_KEY = "pk_test_local"
    STRIPE_WEBHOOK_SECRETS = ["whsec_local"]
    STRIPE_API_BASE = read("STRIPE_API_BASE", "http://127.0.0.1:12111")

# Stands in the metadata of payments: installations that share a Stripe account know theirs by it.
INSTALLATION = read("INSTALLATION", urlsplit(API_URL).netloc, cast=label)

# Above these amounts by currency, refunds and exports of codes need a second person; empty: none does.
SECOND_PERSON_REFUNDS = read("SECOND_PERSON_REFUNDS", {}, cast=amounts)
SECOND_PERSON_CODE_EXPORTS = read("SECOND_PERSON_CODE_EXPORTS", {}, cast=amounts)

# Calls to Stripe in flight at once, in a process: fewer than its threads, so that the rest answer while Stripe hangs.
STRIPE_CALLS_AT_ONCE = read("STRIPE_CALLS_AT_ONCE", 4, cast=positive_count)

# Of one free type, over all time.
FREE_VOUCHERS_PER_PERSON = read("FREE_VOUCHERS_PER_PERSON", 10, cast=positive_count)

# A purchase that nobody paid is canceled at Stripe, and then marked as failed.
ABANDONED_AFTER = timedelta(hours=read("ABANDONED_AFTER_HOURS", 24, cast=within(1, 24 * 366)))

# --- Background jobs ------------------------------------------------------------------------------------------

CELERY_BROKER_URL = read("CELERY_BROKER_URL", REDIS_URL, cast=broker_address)
CELERY_RESULT_BACKEND = read("CELERY_RESULT_BACKEND") or None
CELERY_TASK_ALWAYS_EAGER = not CELERY_BROKER_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_SOFT_TIME_LIMIT = 120
CELERY_TASK_TIME_LIMIT = 150
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 600,
    "socket_timeout": 1,
    "socket_connect_timeout": 1,
}
CELERY_TASK_PUBLISH_RETRY = False

# --- Mail -----------------------------------------------------------------------------------------------------

EMAIL_BACKEND = read(
    "EMAIL_BACKEND",
    "apps.core.mail.page_backend.EmailBackend" if DEBUG else "django.core.mail.backends.smtp.EmailBackend",
)
EMAIL_HOST = read("EMAIL_HOST", "localhost" if DEBUG else "")
EMAIL_PORT = read("EMAIL_PORT", 25, cast=port)
EMAIL_USE_TLS = read("EMAIL_USE_TLS", False, cast=bool)
EMAIL_USE_SSL = read("EMAIL_USE_SSL", False, cast=bool)
EMAIL_HOST_USER = read("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = read("EMAIL_HOST_PASSWORD")
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = read("DEFAULT_FROM_EMAIL", "vouchers@localhost" if DEBUG else "")

# Who is told what the scheduled audit and reconciliation found.
ADMINS = read("ADMINS", [], cast=people)

# Mail is a row in the database first. A broker means a worker, which sends it every minute; without one the
# process that wrote the row sends it, in a thread of its own.
SEND_MAIL_IN_PROCESS = not CELERY_BROKER_URL
MAIL_RETRY_AFTER = timedelta(minutes=5)
MAIL_MAX_RETRIES = 12 * 24  # a day
KEEP_MAIL = timedelta(days=7)
MAIL_VOUCHERS_PDF = read("MAIL_VOUCHERS_PDF", False, cast=bool)
REMINDER_DAYS = read("REMINDER_DAYS", [30, 7, 1], cast=days)
POST_OFFICE = {
    "LOG_LEVEL": 1,  # failures only
    "SENDING_ORDER": ["-priority", "id"],
    "MAX_RETRIES": MAIL_MAX_RETRIES,
    "RETRY_INTERVAL": MAIL_RETRY_AFTER,
}

# --- Language, time, files ------------------------------------------------------------------------------------

LANGUAGE_CODE = "en-us"
TIME_ZONE = read("TIME_ZONE", "UTC", cast=time_zone)
FORMAT_MODULE_PATH = "voucher_project.formats"  # of dates, for staff
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
MEDIA_URL = "/media/"
_MEDIA = read("MEDIA_STORAGE", cast=media_storage) or media_storage(str(BASE_DIR / "media"))
MEDIA_ROOT = _MEDIA.folder or BASE_DIR / "media"
MEDIA_ORIGIN = _MEDIA.origin
# Of the bucket; without them boto3 takes what the machine has (a role, its profile).
AWS_ACCESS_KEY_ID = read("AWS_ACCESS_KEY_ID") or None
AWS_SECRET_ACCESS_KEY = read("AWS_SECRET_ACCESS_KEY") or None
STORAGES = {
    "default": _MEDIA.storage,
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

# --- Transport security ---------------------------------------------------------------------------------------

TRUSTED_PROXY_COUNT = read("TRUSTED_PROXY_COUNT", 0, cast=count)
if TRUSTED_PROXY_COUNT:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = read("SECURE_SSL_REDIRECT", not DEBUG, cast=bool)
SECURE_REDIRECT_EXEMPT = [r"^api/health/", r"^metrics$"]
SECURE_HSTS_SECONDS = read("SECURE_HSTS_SECONDS", 0 if DEBUG else 365 * 24 * 3600, cast=count)
SECURE_HSTS_INCLUDE_SUBDOMAINS = read("SECURE_HSTS_INCLUDE_SUBDOMAINS", not DEBUG, cast=bool)
SECURE_HSTS_PRELOAD = read("SECURE_HSTS_PRELOAD", not DEBUG, cast=bool)
SESSION_COOKIE_SECURE = not DEBUG
CSRF_COOKIE_SECURE = not DEBUG
# Browsers take a `__Host-` cookie over HTTPS only, and from this very host: no other host of the domain can plant one.
# One for a whole domain can't be such, nor one over plain HTTP.
SESSION_COOKIE_NAME = "sessionid" if DEBUG else "__Host-sessionid"
CSRF_COOKIE_NAME = read(
    "CSRF_COOKIE_NAME", "csrftoken" if DEBUG or CSRF_COOKIE_DOMAIN else "__Host-csrftoken"
)
X_FRAME_OPTIONS = "DENY"

# --- Metrics ---------------------------------------------------------------------------------------------------

METRICS_TOKEN = read("METRICS_TOKEN")
METRICS_HOST = read("METRICS_HOST", "127.0.0.1")  # of the worker, with the next
METRICS_PORT = read("METRICS_PORT", 0, cast=port)
METRICS_NAMESPACE = "voucher"  # the names of all metrics begin with it

# --- Logs, and the look of the admin and of the API's description ----------------------------------------------

LOGGING = read_logging(BASE_DIR / "logs" / "django.log")
SLOW_REQUEST_MS, SLOW_QUERY_MS = slow_limits()
SENTRY = read_sentry(VERSION)
UNFOLD = unfold_settings(SHOP_NAME, FRONTEND_URL, logo=SHOP_LOGO)
SPECTACULAR_SETTINGS = spectacular_settings(SHOP_NAME, SHOP_CONTACT)

if not DEBUG and (_problems := problems_of(globals())):
    _lines = ["Refusing to start with DEBUG off (for development: cp .env.example .env):", *_problems]
    raise ImproperlyConfigured("\n  ".join(_lines))
