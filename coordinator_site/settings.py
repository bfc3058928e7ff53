"""Settings, read from the environment once. Every variable is listed in .env.example."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

from coordinator_site import __version__, databases, environment, logs

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
env.read_env(BASE_DIR / ".env")


# What and where this is

ENVIRONMENT = environment.one_of(
    "ENVIRONMENT", env.str("ENVIRONMENT", "development"), {"development", "testing", "production", "docker"}
)
PRODUCTION = ENVIRONMENT == "production"
VERSION = __version__
DEBUG = environment.boolean("DEBUG", env.str("DEBUG", "false"))
SERVICE_NAME = environment.dns_label("SERVICE_NAME", env.str("SERVICE_NAME", "test-coordinator"))
SERVICE_INSTANCE_NAME = environment.dns_label(
    "SERVICE_INSTANCE_NAME", env.str("SERVICE_INSTANCE_NAME", SERVICE_NAME)
)
SERVICE_VERSION = env.str("SERVICE_VERSION", __version__)
PORT = environment.whole_number("PORT", env.str("PORT", "8080"), lowest=1, highest=environment.MAX_PORT)

DATA_DIR = environment.writable_directory(
    "DATA_DIR", Path(env.str("DATA_DIR", str(BASE_DIR / "var"))).resolve()
)

if "SECRET_KEY" in env.ENVIRON:
    SECRET_KEY = env.str("SECRET_KEY")
elif PRODUCTION:
    raise ImproperlyConfigured(
        "SECRET_KEY is missing: ENVIRONMENT='production' needs one of at least 50 characters."
    )
else:
    SECRET_KEY = environment.kept_secret_key(DATA_DIR / "secret-key")

LOOPBACK_NAMES = ["localhost", "127.0.0.1", "[::1]"]
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=LOOPBACK_NAMES)
# By which people reach the site: links in what is told to the outside begin with it.
PUBLIC_URL = environment.web_address("PUBLIC_URL", env.str("PUBLIC_URL", f"http://localhost:{PORT}")).rstrip(
    "/"
)


# Applications

INSTALLED_APPS = [
    "coordinator_site",
    "metrics_app",
    "scenarios",
    "ninja",  # its API docs are then served from here instead of a CDN
    "django_htmx",
    "django_tasks",
    "django_tasks_db",
    "simple_history",
    "axes",
    "coordinator_site.apps.ControlRoomConfig",  # django.contrib.admin with pages of our own
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "metrics_app.middleware.RequestMetricsMiddleware",
    "coordinator_site.head_requests.HeadMiddleware",
    "coordinator_site.request_id.RequestIdMiddleware",
    "scenarios.api.problems.ProblemMiddleware",
    "scenarios.api.plain_http.PlainHTTPMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "coordinator_site.content_security_policy.ContentSecurityPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "coordinator_site.login_views.SingleSignOnMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
    "coordinator_site.login_limits.KnownBrowserMiddleware",
]

ROOT_URLCONF = "coordinator_site.urls"
WSGI_APPLICATION = "coordinator_site.wsgi.application"
ASGI_APPLICATION = "coordinator_site.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]


# Database

DATABASES = {
    "default": databases.for_many_processes(
        env.db_url("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'coordinator.sqlite3'}")
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"


# Time, language, static files

TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
FORMAT_MODULE_PATH = "coordinator_site.formats"
STATIC_URL = "static/"
STATIC_ROOT = environment.writable_directory("DATA_DIR", DATA_DIR / "static")
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    # collectstatic writes a compressed file beside each; names stay what they are, so that a machine
    # which never collects them serves them from where they lie.
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = not PRODUCTION
WHITENOISE_AUTOREFRESH = DEBUG


# Security

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"  # also where an address to go on to is refused
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
# How many proxies of one's own stand before the web process, each of which adds to X-Forwarded-For.
TRUSTED_PROXIES = environment.whole_number(
    "TRUSTED_PROXIES", env.str("TRUSTED_PROXIES", "0"), lowest=0, highest=10
)
# A name and an address together are locked out; by either alone, for a shorter time. See login_limits.py.
AXES_HANDLER = "coordinator_site.login_limits.LoginLimits"
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_CLIENT_IP_CALLABLE = "scenarios.access.client_address.client_network"
AXES_FAILURE_LIMIT = environment.whole_number(
    "LOGIN_FAILURES", env.str("LOGIN_FAILURES", "5"), lowest=1, highest=1000
)
LOGIN_FAILURES_PER_NAME = environment.whole_number(
    "LOGIN_FAILURES_PER_NAME", env.str("LOGIN_FAILURES_PER_NAME", "15"), lowest=1, highest=100_000
)
LOGIN_FAILURES_PER_ADDRESS = environment.whole_number(
    "LOGIN_FAILURES_PER_ADDRESS", env.str("LOGIN_FAILURES_PER_ADDRESS", "30"), lowest=1, highest=100_000
)
LOGIN_SLOWDOWN_MINUTES = environment.whole_number(
    "LOGIN_SLOWDOWN_MINUTES", env.str("LOGIN_SLOWDOWN_MINUTES", "5"), lowest=1, highest=10_080
)
# Failures older than this are deleted at the next login, so that they do not pile up.
AXES_COOLOFF_TIME = timedelta(
    minutes=environment.whole_number(
        "LOGIN_LOCKOUT_MINUTES", env.str("LOGIN_LOCKOUT_MINUTES", "15"), lowest=1, highest=10_080
    )
)
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False
AXES_LOCKOUT_CALLABLE = "coordinator_site.login_limits.locked_out"

# Login by OpenID Connect, beside the passwords of this site: off without an issuer.
OIDC_ISSUER = environment.web_address("OIDC_ISSUER", env.str("OIDC_ISSUER", ""))
OIDC_CLIENT_ID = env.str("OIDC_CLIENT_ID", "")
OIDC_CLIENT_SECRET = env.str("OIDC_CLIENT_SECRET", "")
OIDC_NAME = env.str("OIDC_NAME", "single sign-on")
OIDC_SCOPES = env.list("OIDC_SCOPES", default=["profile", "email"])
OIDC_USERNAME_CLAIM = env.str("OIDC_USERNAME_CLAIM", "preferred_username")
OIDC_GROUPS_CLAIM = env.str("OIDC_GROUPS_CLAIM", "groups")
OIDC_STAFF_GROUPS = env.list("OIDC_STAFF_GROUPS", default=[])
OIDC_SUPERUSER_GROUPS = env.list("OIDC_SUPERUSER_GROUPS", default=[])
OIDC_GROUP_MAP = environment.pairs("OIDC_GROUP_MAP", env.list("OIDC_GROUP_MAP", default=[]))
OIDC_SESSION_SECONDS = environment.whole_number(
    "OIDC_SESSION_SECONDS", env.str("OIDC_SESSION_SECONDS", "28800"), lowest=60, highest=31_536_000
)
OIDC_TOKEN_SECONDS = environment.whole_number(
    "OIDC_TOKEN_SECONDS", env.str("OIDC_TOKEN_SECONDS", "604800"), lowest=60, highest=31_536_000
)
# Asked of an API token's owner, beside whether the account is active.
API_TOKEN_OWNER_CHECK = "coordinator_site.single_sign_on.rights_are_present"  # noqa: S105 - a path
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = PRODUCTION
SECURE_HSTS_SECONDS = 31_536_000 if PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = PRODUCTION
# Prometheus and load balancers ask on the internal port, without TLS.
SECURE_REDIRECT_EXEMPT = [r"^metrics$", r"^api/v1/health$", r"^api/v1/ready$"]
# Everything comes from here, and nothing is written into a page for the browser to run.
SECURE_CSP = {
    "default-src": ["'self'"],
    "base-uri": ["'none'"],
    "object-src": ["'none'"],
    "form-action": ["'self'"],
    "frame-ancestors": ["'none'"],
}
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if PRODUCTION else None


# Metrics

METRICS = {
    "BACKEND": env.str("METRICS_BACKEND", "metrics_app.adapters.prometheus.PrometheusMetricsAdapter"),
    # Every process on this host shares it; a system check sees to it that it can be written.
    "DIRECTORY": Path(env.str("PROMETHEUS_MULTIPROC_DIR", str(DATA_DIR / "metrics"))).resolve(),
    "CONSTANT_LABELS": {
        "service": SERVICE_NAME,
        "instance": SERVICE_INSTANCE_NAME,
        "version": SERVICE_VERSION,
    },
    "TOKEN": env.str("METRICS_TOKEN", ""),
    "ALLOWED_NETWORKS": environment.networks(
        "METRICS_ALLOWED_NETWORKS", env.list("METRICS_ALLOWED_NETWORKS", default=[])
    ),
    "MAX_LABEL_SETS": environment.whole_number(
        "METRICS_MAX_LABEL_SETS", env.str("METRICS_MAX_LABEL_SETS", "2000"), lowest=1, highest=1_000_000
    ),
    "COUNT_SCRAPES": environment.boolean("METRICS_COUNT_SCRAPES", env.str("METRICS_COUNT_SCRAPES", "false")),
    "DATABASE": environment.boolean("METRICS_DATABASE", env.str("METRICS_DATABASE", "false")),
    "CACHES": environment.boolean("METRICS_CACHE", env.str("METRICS_CACHE", "false")),
}


# Cache: each process its own, as Django has it by default

CACHES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
}


# Tasks and runs

TASK_BACKEND = environment.one_of("TASK_BACKEND", env.str("TASK_BACKEND", "db"), {"db", "rq"})
REDIS_URL = env.str("REDIS_URL", "")
if TASK_BACKEND == "rq":
    if not REDIS_URL:
        raise ImproperlyConfigured(
            "REDIS_URL is missing: TASK_BACKEND='rq' needs one, as in 'redis://127.0.0.1:6379/0'."
        )
    INSTALLED_APPS += ["django_rq"]
    TASKS = {"default": {"BACKEND": "django_tasks_rq.RQBackend"}}
    # No time limit of the queue's: a run has its own, and may last for days.
    RQ_QUEUES = {"default": {"URL": environment.with_time_limits(REDIS_URL), "DEFAULT_TIMEOUT": -1}}
else:
    TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
LEASE_SECONDS = environment.whole_number(
    "LEASE_SECONDS", env.str("LEASE_SECONDS", "15"), lowest=1, highest=3600
)
LATE_INJECTION_SECONDS = environment.whole_number(
    "LATE_INJECTION_SECONDS", env.str("LATE_INJECTION_SECONDS", "30"), lowest=1, highest=86_400
)
MAX_CONCURRENT_RUNS = environment.whole_number(
    "MAX_CONCURRENT_RUNS", env.str("MAX_CONCURRENT_RUNS", "3"), lowest=1, highest=1000
)
RETENTION_DAYS = environment.whole_number(
    "RETENTION_DAYS", env.str("RETENTION_DAYS", "90"), lowest=1, highest=36_500
)
APPROVAL_HOURS = environment.whole_number(
    "APPROVAL_HOURS", env.str("APPROVAL_HOURS", "24"), lowest=1, highest=8760
)

# The host on which `command` and `signal` steps of this process take effect; empty: the machine's own name.
HOST_NAME = environment.host_identity("HOST_NAME", env.str("HOST_NAME", ""))
# Hosts, by these names or '*', on which such steps of actions need the approval of a second person.
PROTECTED_HOSTS = environment.host_identities("PROTECTED_HOSTS", env.list("PROTECTED_HOSTS", default=[]))

# The kinds of step a scenario may use, as dotted paths: a site adds its own by EXTRA_SCENARIO_DRIVERS.
SCENARIO_DRIVERS = [
    "scenarios.drivers.chaostoolkit.ChaosToolkit",
    "scenarios.drivers.command.Command",
    "scenarios.drivers.http.Http",
    "scenarios.drivers.prometheus.Prometheus",
    "scenarios.drivers.signal.Signal",
    "scenarios.drivers.tcp.Tcp",
    "scenarios.drivers.wait.Wait",
    *env.list("EXTRA_SCENARIO_DRIVERS", default=[]),
]
PROMETHEUS_URL = environment.web_address("PROMETHEUS_URL", env.str("PROMETHEUS_URL", ""))
PROMETHEUS_SCRAPE_SECONDS = environment.whole_number(
    "PROMETHEUS_SCRAPE_SECONDS", env.str("PROMETHEUS_SCRAPE_SECONDS", "15"), lowest=1, highest=3600
)

# Whether steps may only reach registered services, and no address that a document names.
ONLY_REGISTERED_SERVICES = environment.boolean(
    "ONLY_REGISTERED_SERVICES", env.str("ONLY_REGISTERED_SERVICES", "false")
)

# What scenarios may do on the coordinator's own host: nothing, unless it is named here.
# By command, the environment variables that its steps may set: an allowed command with a PATH, HOME or
# KUBECONFIG of the scenario's choice is another command.
ALLOWED_COMMAND_VARIABLES = environment.commands("ALLOWED_COMMANDS", env.list("ALLOWED_COMMANDS", default=[]))
ALLOWED_COMMANDS = tuple(ALLOWED_COMMAND_VARIABLES)
ALLOWED_PIDFILE_DIRS = environment.absolute_directories(
    "ALLOWED_PIDFILE_DIRS", env.list("ALLOWED_PIDFILE_DIRS", default=[])
)
ALLOWED_CHAOSTOOLKIT_MODULES = environment.module_prefixes(
    "ALLOWED_CHAOSTOOLKIT_MODULES", env.list("ALLOWED_CHAOSTOOLKIT_MODULES", default=[])
)

# Where ${secret:NAME} is looked for: the environment variable of this prefix and NAME, then the file
# NAME in the directory.
SCENARIO_SECRET_PREFIX = environment.variable_prefix(
    "SCENARIO_SECRET_PREFIX", env.str("SCENARIO_SECRET_PREFIX", "SCENARIO_SECRET_")
)
SCENARIO_SECRET_DIR = environment.directory_or_none("SCENARIO_SECRET_DIR", env.str("SCENARIO_SECRET_DIR", ""))


# What `manage.py scenario --server` shows to the coordinator elsewhere

TEST_COORDINATOR_TOKEN = env.str("TEST_COORDINATOR_TOKEN", "")

# The outside: to whom webhooks may be sent, and where the faults' windows are drawn

WEBHOOK_ALLOWED_HOSTS = environment.host_names(
    "WEBHOOK_ALLOWED_HOSTS",
    env.list("WEBHOOK_ALLOWED_HOSTS", default=[] if PRODUCTION else LOOPBACK_NAMES),
)
GRAFANA_URL = environment.web_address("GRAFANA_URL", env.str("GRAFANA_URL", "")).rstrip("/")
GRAFANA_TOKEN = env.str("GRAFANA_TOKEN", "")


# What `manage.py up` starts beside the coordinator itself; another port is taken where one is not free

DEMO_EXCHANGE_PORT = 8081
DEMO_RISK_MONITOR_PORT = 8082
LOCAL_PROMETHEUS_PORT = 9090

# The API: readers of event streams that each web process may keep a thread for (gunicorn.conf.py has 8).
API_WAITING_STREAMS = environment.whole_number(
    "API_WAITING_STREAMS", env.str("API_WAITING_STREAMS", "2"), lowest=0, highest=6
)
# Unknown tokens that an address may send in a minute before it is told to wait.
API_FAILED_TOKENS_PER_MINUTE = environment.whole_number(
    "API_FAILED_TOKENS_PER_MINUTE", env.str("API_FAILED_TOKENS_PER_MINUTE", "30"), lowest=1, highest=1_000_000
)


# Tests: `manage.py test` runs pytest and the checks of the code

TEST_RUNNER = "coordinator_site.test_runner.PytestRunner"


# Logs: each line with its request's or run's id, and without secrets

LOG_FORMAT = environment.one_of(
    "LOG_FORMAT", env.str("LOG_FORMAT", logs.default_format(production=PRODUCTION)), logs.FORMATS
)
LOG_LEVEL = environment.one_of("LOG_LEVEL", env.str("LOG_LEVEL", "INFO").upper(), logs.LEVELS)
LOGGING = logs.logging_config(LOG_FORMAT, LOG_LEVEL, service=SERVICE_NAME, instance=SERVICE_INSTANCE_NAME)
logs.learn_secrets(env.ENVIRON, SECRET_KEY)
