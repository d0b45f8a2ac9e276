"""Django settings, all of them read from a handful of environment variables.

OPENKETAMINE_HOME          folder that holds every datum (default: the user's data folder)
OPENKETAMINE_DATABASE_URL  postgresql://user:password@host:port/name (default: SQLite in the home)
OPENKETAMINE_ORIGIN        where browsers reach the clinic, e.g. https://clinic.example
OPENKETAMINE_DEMO          1: the demonstration clinic, in a database of its own
OPENKETAMINE_REGION        whose crisis lines patients are shown: US, CA, GB, AU (default: US)
OPENKETAMINE_PHONE         the number that patients call, printed on the after-care sheet
OPENKETAMINE_CURRENCY      in which prices are written, e.g. EUR (default: USD)
OPENKETAMINE_JURISDICTION  whose law governs: US (default), EU, GB, AU, or a state, e.g. US-CA
OPENKETAMINE_TIME_ZONE     the clinic's time zone (default: UTC)
OPENKETAMINE_OPEN_DAYS     weekdays with sessions, e.g. mon,tue,thu (default: mon to fri)
OPENKETAMINE_CLOSED_ON     days without sessions, e.g. 2026-12-25,2027-01-01 (default: none)
OPENKETAMINE_EMAIL_URL     how e-mail leaves: smtp://user:password@host:587 (STARTTLS), smtps://…:465,
                           console: to print it (default: e-mail is not set up; demo: console)
OPENKETAMINE_EMAIL_FROM    the clinic's own address, e.g. Clinic <care@clinic.example>
OPENKETAMINE_TEXT_SENDER   how texts leave: gateway, console (default: not set up; demo: console)
OPENKETAMINE_TEXT_URL      the gateway's HTTPS address
OPENKETAMINE_TEXT_HEADERS  headers of each request, as JSON, e.g. {"Authorization": "Bearer …"}
OPENKETAMINE_TEXT_FIELDS   the gateway's names, as JSON (default: {"to": "to", "body": "body",
                           "from": "from", "key": "reference"})
OPENKETAMINE_TEXT_FORM     1: the gateway takes a form, not JSON
OPENKETAMINE_TEXT_FROM     the clinic's number or name, as the gateway knows it
OPENKETAMINE_NOTICES       0: this server neither sends nor escalates; `notices run` does so instead
OPENKETAMINE_LOGS          plain (default) or json, one object a line, every request among them
OPENKETAMINE_METRICS_TOKEN what Prometheus shows to read /metrics/ (default: nobody reads it)
OPENKETAMINE_IDLE_MIN      minutes without work after which one signs in again (default: 30)
OPENKETAMINE_REQUIRE_MFA   1: staff go no further without a second factor (default: with https)
OPENKETAMINE_PROXIES       how many proxies stand in front, with an https origin (default: 1)
OPENKETAMINE_RETENTION_YEARS  how long charts are kept after the last course (default: not set)
OPENKETAMINE_DEBUG         1: Django's debug pages, for developers only
"""

import json
import os
import secrets
from datetime import date
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import platformdirs
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

HOME = Path(
    os.environ.get("OPENKETAMINE_HOME")
    or platformdirs.user_data_dir("openketamine", "openketamine")
).expanduser()
HOME.mkdir(mode=0o700, parents=True, exist_ok=True)

DEMO = os.environ.get("OPENKETAMINE_DEMO") == "1"
# The forecast of a session works in the background; 0 leaves it out.
FORECASTS = os.environ.get("OPENKETAMINE_FORECASTS", "1") == "1"
DEMO_PASSWORD = "demonstration-only"  # noqa: S105 - shown on the demonstration's sign-in page
DEBUG = os.environ.get("OPENKETAMINE_DEBUG") == "1"


def _secret_key() -> str:
    """The installation's own key, made at the first start and kept beside the data."""
    path = HOME / "secret.key"
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(64))
    except FileExistsError:
        pass
    return path.read_text()


# Requests are served by a few lasting threads, each with a connection of its own.
CONNECTION_AGE_S = 600


def _database(url: str | None) -> dict[str, object]:
    if not url:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": HOME / ("demo.sqlite3" if DEMO else "openketamine.sqlite3"),
            "OPTIONS": {
                # An acknowledged event must survive a crash, and two writers must queue, not fail.
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
            },
            "CONN_MAX_AGE": CONNECTION_AGE_S,
            "TEST": {"NAME": HOME / f"test-{os.getpid()}.sqlite3"},
        }
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured(
            f"OPENKETAMINE_DATABASE_URL begins with {parts.scheme!r}; write postgresql://… or "
            "leave it out to use SQLite."
        )
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": parts.port or "",
        "CONN_MAX_AGE": CONNECTION_AGE_S,
        "CONN_HEALTH_CHECKS": True,
        # e.g. ?sslmode=verify-full&sslrootcert=/etc/ssl/certs/db.pem
        "OPTIONS": dict(parse_qsl(parts.query)),
    }


SECRET_KEY = _secret_key()
DATABASE_OF = _database  # for a store to move to
DATABASES = {"default": _database(os.environ.get("OPENKETAMINE_DATABASE_URL"))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

_ORIGIN = os.environ.get("OPENKETAMINE_ORIGIN", "").rstrip("/")
ORIGIN = _ORIGIN  # what links in messages begin with
_HTTPS = _ORIGIN.startswith("https://")
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
CSRF_TRUSTED_ORIGINS = []
if _ORIGIN:
    ALLOWED_HOSTS.append(urlsplit(_ORIGIN).hostname or "")
    CSRF_TRUSTED_ORIGINS.append(_ORIGIN)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if _HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_SSL_REDIRECT = _HTTPS
# Asked on the machine itself, past the proxy.
SECURE_REDIRECT_EXEMPT = [r"^healthy/$", r"^ready/$", r"^metrics/$"]
# Whether browsers ship with this domain in their list is for its owner to decide, not for us.
SILENCED_SYSTEM_CHECKS = ["security.W021"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _HTTPS else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = 12 * 3600  # a long shift
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
# Without a hand's doing for so long, whoever is signed in signs in again.
IDLE_S = 60 * int(os.environ.get("OPENKETAMINE_IDLE_MIN", "30"))
if _HTTPS:
    SESSION_COOKIE_NAME = "__Host-sessionid"
    CSRF_COOKIE_NAME = "__Host-csrftoken"
    # The proxy in front says from where a request comes; lock-outs count by it.
    ALLAUTH_TRUSTED_PROXY_COUNT = int(os.environ.get("OPENKETAMINE_PROXIES", "1"))
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

INSTALLED_APPS = [
    # First: before anything else makes ready, every query keeps to the sites.
    "openketamine.clinic.sites",
    "openketamine.site",
    "openketamine.exchange.fhir",
    "openketamine.exchange.smart",
    "openketamine.exchange.documents",
    "openketamine.clinic.privacy",
    "openketamine.clinic.portal",
    "openketamine.clinic.reviews",
    "openketamine.clinic.outcomes",
    "openketamine.clinic.therapy",
    "openketamine.clinic.choices",
    "openketamine.clinic.athome",
    "openketamine.clinic.devices",
    "openketamine.clinic.sessions",
    "openketamine.clinic.plans",
    "openketamine.clinic.intake",
    "openketamine.clinic.rems",
    "openketamine.clinic.people",
    "openketamine.clinic.notices",
    "openketamine.clinic.policy",
    "openketamine.clinic.staff",
    "openketamine.clinic.record",
    "openketamine.clinic.accounts",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
]

MIDDLEWARE = [
    "openketamine.site.logs.RequestLogMiddleware",
    "openketamine.site.headers.HeadersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "openketamine.site.files.StaticFilesMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "openketamine.clinic.accounts.sittings.SittingCookieMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "openketamine.clinic.privacy.access.SiteMiddleware",
    "openketamine.clinic.people.language.LanguageMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "openketamine.clinic.accounts.sittings.SittingMiddleware",
    "openketamine.clinic.accounts.access.AccessMiddleware",
    "openketamine.clinic.privacy.access.RestrictionMiddleware",
    "openketamine.clinic.privacy.reads.ReadsMiddleware",
    "openketamine.clinic.policy.queries.GoverningMiddleware",
    "openketamine.site.failures.DatabaseFailureMiddleware",
]

ROOT_URLCONF = "openketamine.site.urls"
ASGI_APPLICATION = "openketamine.site.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [Path(__file__).parent / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "openketamine.site.context.clinic",
            ],
            "builtins": [
                "django.templatetags.static",
                "openketamine.site.templatetags.openketamine",
            ],
        },
    }
]

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["openketamine.clinic.privacy.backend.Backend"]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("username", "display_name", "email")},
    },
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_FORMS = {"reauthenticate": "openketamine.clinic.accounts.forms.ReauthenticateForm"}
ACCOUNT_ADAPTER = "openketamine.clinic.accounts.adapter.ClosedAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = True
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
REQUIRE_MFA = os.environ.get("OPENKETAMINE_REQUIRE_MFA", "1" if _HTTPS else "0") == "1"
RETENTION_YEARS = int(os.environ.get("OPENKETAMINE_RETENTION_YEARS", "0"))
MFA_TOTP_ISSUER = "OpenKetamine"
# Failed sign-ins are counted in the database, so the lock-out holds across processes and restarts.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "site_cache",
    }
}

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("es", "Español")]
# What staff read until they choose; everybody else see `clinic/people/language.py`.
STAFF_LANGUAGE = os.environ.get("OPENKETAMINE_LANGUAGE", "en")
if STAFF_LANGUAGE not in dict(LANGUAGES):
    raise ImproperlyConfigured(
        f"OPENKETAMINE_LANGUAGE is {STAFF_LANGUAGE!r}; write {' or '.join(dict(LANGUAGES))}"
    )
# A decimal point in both: a comma that somebody overlooks makes ten times the dose.
FORMAT_MODULE_PATH = ["openketamine.site.formats"]
REGION = os.environ.get("OPENKETAMINE_REGION", "US")
CLINIC_PHONE = os.environ.get("OPENKETAMINE_PHONE", "555-0100" if DEMO else "")
CURRENCY = os.environ.get("OPENKETAMINE_CURRENCY", "USD")
JURISDICTION = os.environ.get("OPENKETAMINE_JURISDICTION", "US").upper()
TIME_ZONE = os.environ.get("OPENKETAMINE_TIME_ZONE", "UTC")
USE_TZ = True

_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _open_days(text: str) -> frozenset[int]:
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    if not names or (strangers := [name for name in names if name not in _WEEKDAYS]):
        wrong = repr(strangers[0]) if names else "nothing"
        raise ImproperlyConfigured(
            f"OPENKETAMINE_OPEN_DAYS names {wrong}; write weekdays such as mon,tue,thu"
        )
    return frozenset(_WEEKDAYS.index(name) for name in names)


def _closed_on(text: str) -> frozenset[date]:
    try:
        return frozenset(date.fromisoformat(day.strip()) for day in text.split(",") if day.strip())
    except ValueError as error:
        raise ImproperlyConfigured(
            f"OPENKETAMINE_CLOSED_ON: {error}; write days such as 2026-12-25,2027-01-01"
        ) from error


# On which days sessions are proposed.
OPEN_WEEKDAYS = _open_days(os.environ.get("OPENKETAMINE_OPEN_DAYS", "mon,tue,wed,thu,fri"))
CLOSED_ON = _closed_on(os.environ.get("OPENKETAMINE_CLOSED_ON", ""))
USE_I18N = True
# The packages beside the site are no apps of Django, so their Spanish is named here.
LOCALE_PATHS = [
    Path(__file__).parents[1] / package / "locale"
    for package in ("site", "protocols", "pharmacology")
]

STATIC_URL = "static/"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
WHITENOISE_MAX_AGE = 60
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_621_440
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.TemporaryFileUploadHandler"]


def _email(url: str) -> dict[str, object]:
    """Django's settings for the mail server that a URL names."""
    if url in {"", "console"}:
        return {"EMAIL_BACKEND": "django.core.mail.backends.console.EmailBackend"}
    parts = urlsplit(url)
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
        raise ImproperlyConfigured(
            "OPENKETAMINE_EMAIL_URL is smtp://host:587, smtps://host:465 or console."
        )
    secure = parts.scheme == "smtps"
    return {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": parts.hostname,
        "EMAIL_PORT": parts.port or (465 if secure else 587),
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_SSL": secure,
        # A mail server on this very machine has no certificate that anybody could check.
        "EMAIL_USE_TLS": not secure and parts.hostname not in {"localhost", "127.0.0.1"},
    }


_EMAIL_URL = os.environ.get("OPENKETAMINE_EMAIL_URL", "console" if DEMO else "")
EMAIL_IS_SET_UP = bool(_EMAIL_URL)
globals().update(_email(_EMAIL_URL))
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = os.environ.get("OPENKETAMINE_EMAIL_FROM", "OpenKetamine <clinic@localhost>")


def _json(name: str, default: dict[str, str]) -> dict[str, str]:
    try:
        value = json.loads(os.environ.get(name) or "null")
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is not JSON: {error}.") from error
    if value is None:
        return default
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise ImproperlyConfigured(f'{name} is an object of texts, e.g. {{"to": "To"}}.')
    return value


TEXTS = {
    "sender": os.environ.get("OPENKETAMINE_TEXT_SENDER", "console" if DEMO else ""),
    "url": os.environ.get("OPENKETAMINE_TEXT_URL", ""),
    "headers": _json("OPENKETAMINE_TEXT_HEADERS", {}),
    "fields": _json(
        "OPENKETAMINE_TEXT_FIELDS",
        {"to": "to", "body": "body", "from": "from", "key": "reference"},
    ),
    "from": os.environ.get("OPENKETAMINE_TEXT_FROM", ""),
    "form": os.environ.get("OPENKETAMINE_TEXT_FORM") == "1",
}
# Sending and escalating, on a thread of the server.
NOTICES = os.environ.get("OPENKETAMINE_NOTICES", "1") == "1"

LOGS = os.environ.get("OPENKETAMINE_LOGS", "plain")
if LOGS not in {"plain", "json"}:
    raise ImproperlyConfigured(f"OPENKETAMINE_LOGS is {LOGS!r}; write plain or json.")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {"()": "openketamine.site.logs.PlainFormatter"},
        "json": {"()": "openketamine.site.logs.JsonFormatter"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": LOGS}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    # Every request has its line in the log of a clinic at work, and none on a terminal.
    "loggers": {"openketamine.access": {"level": "INFO" if LOGS == "json" else "WARNING"}},
}
# Django would hang handlers of its own on these, which mail or print whole pages.
for _name in ("django", "django.server", "django.request"):
    LOGGING["loggers"][_name] = {"handlers": [], "level": "WARNING", "propagate": True}
METRICS_TOKEN = os.environ.get("OPENKETAMINE_METRICS_TOKEN", "")
