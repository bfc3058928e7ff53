"""Settings, read from the environment once. Every variable is listed in .env.example."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from coordinator_site import __version__, databases, logs, places, served_port
from coordinator_site.container_settings import (
    container_engines,
    container_name_patterns,
    container_patterns,
)
from coordinator_site.environment import (
    MAX_PORT,
    Environment,
    boolean,
    dns_label,
    dns_labels,
    one_of,
    pairs,
    whole_number,
)
from coordinator_site.setting_addresses import (
    certificate_name,
    header_values,
    host_names,
    mail_server,
    mailbox,
    networks,
    prometheus_auth,
    prometheus_tls,
    trace_address,
    url_prefix,
    web_address,
    web_addresses,
    with_time_limits,
)
from coordinator_site.setting_limits import (
    commands,
    host_fault_kinds,
    host_identities,
    host_identity,
    module_prefixes,
    object_kinds,
    protected_namespaces,
    secret_name,
    variable_prefix,
)
from coordinator_site.setting_paths import (
    absolute_directories,
    absolute_path_or_none,
    absolute_paths,
    directory_or_none,
    kept_secret_key,
    writable_directory,
)

BASE_DIR = places.PACKAGES
# Of manage.py, the guide and the configuration of Prometheus. An installed package has them in a folder.
FILES_DIR = places.FILES
DEFAULT_DATA_DIR = places.find_data_folder()

env = Environment()
env.read_env(places.find_settings_file())


# The installation

ENVIRONMENT = env.read(
    one_of, "ENVIRONMENT", "development", choices={"development", "testing", "production", "docker"}
)
PRODUCTION = ENVIRONMENT == "production"
VERSION = __version__
DEBUG = env.read(boolean, "DEBUG", "false")
SERVICE_NAME = env.read(dns_label, "SERVICE_NAME", "test-coordinator")
SERVICE_INSTANCE_NAME = env.read(dns_label, "SERVICE_INSTANCE_NAME", SERVICE_NAME)
SERVICE_VERSION = env.str("SERVICE_VERSION", __version__)
PORT = env.read(whole_number, "PORT", 8080, lowest=1, highest=MAX_PORT)

DATA_DIR = writable_directory("DATA_DIR", Path(env.str("DATA_DIR", str(DEFAULT_DATA_DIR))).resolve())

if "SECRET_KEY" in env.ENVIRON:
    SECRET_KEY = env.str("SECRET_KEY")
elif PRODUCTION:
    raise ImproperlyConfigured(
        "SECRET_KEY is missing: ENVIRONMENT='production' needs one of at least 50 characters."
    )
else:
    SECRET_KEY = kept_secret_key(DATA_DIR / "secret-key")

LOOPBACK_NAMES = ["localhost", "127.0.0.1", "[::1]"]
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=LOOPBACK_NAMES)
# Where people reach the site: links in messages and annotations begin with it.
_SERVED_PORT = PORT if "PORT" in env.ENVIRON else served_port.find(DATA_DIR) or PORT
PUBLIC_URL = env.read(web_address, "PUBLIC_URL", f"http://127.0.0.1:{_SERVED_PORT}").rstrip("/")
# Its path, as '/tc': a proxy may keep or remove it.
URL_PREFIX = url_prefix(PUBLIC_URL, env.str("SCRIPT_NAME", ""))
FORCE_SCRIPT_NAME = URL_PREFIX or None


# Applications

INSTALLED_APPS = [
    "coordinator_site",
    "metrics_app",
    "scenarios",
    "ninja",  # so that its API docs are served from here instead of a CDN
    "django_htmx",
    "django_tasks",
    "django_tasks_db",
    "simple_history",
    "axes",
    "coordinator_site.apps.ControlRoomConfig",  # django.contrib.admin as the control room
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
    "coordinator_site.static_files.StaticFilesMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "coordinator_site.login_views.SingleSignOnMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
    "coordinator_site.audit_middleware.AuditMiddleware",
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
    "default": databases.add_options(
        env.db_url("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'coordinator.sqlite3'}")
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"


# Time, language, static files

TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
FORMAT_MODULE_PATH = "coordinator_site.formats"
STATIC_URL = f"{URL_PREFIX}/static/"  # not relative: Django would keep what it is at the first use
STATIC_ROOT = writable_directory("DATA_DIR", DATA_DIR / "static")
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    # collectstatic adds compressed copies and keeps the names, so that static files also work without it.
    "staticfiles": {"BACKEND": "coordinator_site.static_files.VersionedStaticFilesStorage"},
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
LOGIN_REDIRECT_URL = "admin:index"  # also after a login whose `next` is refused
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
# The number of your own proxies in front of the web process; each adds to X-Forwarded-For.
TRUSTED_PROXIES = env.read(whole_number, "TRUSTED_PROXIES", 0, lowest=0, highest=10)
# A user name and an address are locked out together; either alone, for a shorter time: login_limits.py.
AXES_HANDLER = "coordinator_site.login_limits.LoginLimits"
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_CLIENT_IP_CALLABLE = "scenarios.access.client_address.client_network"
AXES_FAILURE_LIMIT = env.read(whole_number, "LOGIN_FAILURES", 5, lowest=1, highest=1000)
LOGIN_FAILURES_PER_NAME = env.read(whole_number, "LOGIN_FAILURES_PER_NAME", 15, lowest=1, highest=100_000)
LOGIN_FAILURES_PER_ADDRESS = env.read(
    whole_number, "LOGIN_FAILURES_PER_ADDRESS", 30, lowest=1, highest=100_000
)
LOGIN_SLOWDOWN_MINUTES = env.read(whole_number, "LOGIN_SLOWDOWN_MINUTES", 5, lowest=1, highest=10_080)
AXES_COOLOFF_TIME = timedelta(
    minutes=env.read(whole_number, "LOGIN_LOCKOUT_MINUTES", 15, lowest=1, highest=10_080)
)
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False
AXES_LOCKOUT_CALLABLE = "coordinator_site.login_limits.locked_out"

# Login by OpenID Connect, in addition to passwords; off without an issuer.
OIDC_ISSUER = env.read(web_address, "OIDC_ISSUER", "")
OIDC_CLIENT_ID = env.str("OIDC_CLIENT_ID", "")
OIDC_CLIENT_SECRET = env.str("OIDC_CLIENT_SECRET", "")
OIDC_NAME = env.str("OIDC_NAME", "single sign-on")
OIDC_SCOPES = env.list("OIDC_SCOPES", default=["profile", "email"])
OIDC_USERNAME_CLAIM = env.str("OIDC_USERNAME_CLAIM", "preferred_username")
OIDC_GROUPS_CLAIM = env.str("OIDC_GROUPS_CLAIM", "groups")
OIDC_STAFF_GROUPS = env.list("OIDC_STAFF_GROUPS", default=[])
OIDC_SUPERUSER_GROUPS = env.list("OIDC_SUPERUSER_GROUPS", default=[])
OIDC_GROUP_MAP = env.read_list(pairs, "OIDC_GROUP_MAP", [])
OIDC_SESSION_SECONDS = env.read(whole_number, "OIDC_SESSION_SECONDS", 28_800, lowest=60, highest=31_536_000)
OIDC_TOKEN_SECONDS = env.read(whole_number, "OIDC_TOKEN_SECONDS", 604_800, lowest=60, highest=31_536_000)
# Checked for an API token's owner, in addition to whether the account is active.
API_TOKEN_OWNER_CHECK = "coordinator_site.single_sign_on.has_recent_login"  # noqa: S105 - a path
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = PRODUCTION
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = URL_PREFIX or "/"
SECURE_HSTS_SECONDS = env.read(
    whole_number, "HSTS_SECONDS", 31_536_000 if PRODUCTION else 0, lowest=0, highest=315_360_000
)
# For a name that others share, these two are not this site's to decide.
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.read(boolean, "HSTS_INCLUDE_SUBDOMAINS", "false")
SECURE_HSTS_PRELOAD = env.read(boolean, "HSTS_PRELOAD", "false")
if SECURE_HSTS_PRELOAD and not SECURE_HSTS_INCLUDE_SUBDOMAINS:
    raise ImproperlyConfigured("HSTS_PRELOAD=true needs HSTS_INCLUDE_SUBDOMAINS=true, as browsers' lists do.")
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]  # they ask for the two
# Prometheus and load balancers use the internal port, without TLS.
SECURE_REDIRECT_EXEMPT = [
    f"^{re.escape(URL_PREFIX.lstrip('/') + '/') if URL_PREFIX else ''}{path}$"
    for path in ("metrics", "api/v1/health", "api/v1/ready")
]
# Everything is served from here; no page has inline scripts or styles.
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
    # Shared by every process on this host; a system check tests that it is writable.
    "DIRECTORY": Path(env.str("PROMETHEUS_MULTIPROC_DIR", str(DATA_DIR / "metrics"))).resolve(),
    "CONSTANT_LABELS": {
        "service": SERVICE_NAME,
        "instance": SERVICE_INSTANCE_NAME,
        "version": SERVICE_VERSION,
    },
    "TOKEN": env.str("METRICS_TOKEN", ""),
    "ALLOWED_NETWORKS": env.read_list(networks, "METRICS_ALLOWED_NETWORKS", []),
    "MAX_LABEL_SETS": env.read(whole_number, "METRICS_MAX_LABEL_SETS", 2000, lowest=1, highest=1_000_000),
    "COUNT_SCRAPES": env.read(boolean, "METRICS_COUNT_SCRAPES", "false"),
    "DATABASE": env.read(boolean, "METRICS_DATABASE", "false"),
    "CACHES": env.read(boolean, "METRICS_CACHE", "false"),
}


# Cache: one for each process

CACHES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
}


# Tasks and runs

TASK_BACKEND = env.read(one_of, "TASK_BACKEND", "db", choices={"db", "rq"})
REDIS_URL = env.str("REDIS_URL", "")
if TASK_BACKEND == "rq":
    if not REDIS_URL:
        raise ImproperlyConfigured(
            "REDIS_URL is missing: TASK_BACKEND='rq' needs one, as in 'redis://127.0.0.1:6379/0'."
        )
    INSTALLED_APPS += ["django_rq"]
    TASKS = {"default": {"BACKEND": "django_tasks_rq.RQBackend"}}
    # The queue sets no time limit: a run has its own and may last for days.
    RQ_QUEUES = {"default": {"URL": with_time_limits(REDIS_URL), "DEFAULT_TIMEOUT": -1}}
else:
    TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
LEASE_SECONDS = env.read(whole_number, "LEASE_SECONDS", 15, lowest=1, highest=3600)
LATE_INJECTION_SECONDS = env.read(whole_number, "LATE_INJECTION_SECONDS", 30, lowest=1, highest=86_400)
MAX_CONCURRENT_RUNS = env.read(whole_number, "MAX_CONCURRENT_RUNS", 3, lowest=1, highest=1000)
AUDIT_DAYS = env.read(whole_number, "AUDIT_DAYS", 400, lowest=1, highest=36_500)
RETENTION_DAYS = env.read(whole_number, "RETENTION_DAYS", 90, lowest=1, highest=36_500)
APPROVAL_HOURS = env.read(whole_number, "APPROVAL_HOURS", 24, lowest=1, highest=8760)

# The host on which `command` and `signal` steps take effect; empty for the machine's own name.
HOST_NAME = env.read(host_identity, "HOST_NAME", "")
# Hosts, or '*' for all, on which such actions need a second person's approval.
PROTECTED_HOSTS = env.read_list(host_identities, "PROTECTED_HOSTS", [])

# The kinds of step that scenarios may use, as dotted paths. Add your own with EXTRA_SCENARIO_DRIVERS.
SCENARIO_DRIVERS = [
    "scenarios.drivers.alert.Alert",
    "scenarios.drivers.chaostoolkit.ChaosToolkit",
    "scenarios.drivers.command.Command",
    "scenarios.drivers.container.Container",
    "scenarios.drivers.host.Host",
    "scenarios.drivers.grpc.Grpc",
    "scenarios.drivers.http.Http",
    "scenarios.drivers.kubernetes.driver.Kubernetes",
    "scenarios.drivers.postgresql.Postgresql",
    "scenarios.drivers.prometheus.Prometheus",
    "scenarios.drivers.proxy.Proxy",
    "scenarios.drivers.redis.Redis",
    "scenarios.drivers.signal.Signal",
    "scenarios.drivers.tcp.Tcp",
    "scenarios.drivers.wait.Wait",
    *env.list("EXTRA_SCENARIO_DRIVERS", default=[]),
]
PROMETHEUS_URL = env.read(web_address, "PROMETHEUS_URL", "")
PROMETHEUS_AUTH = prometheus_auth(
    token=env.read(secret_name, "PROMETHEUS_TOKEN_SECRET", ""),
    user=env.str("PROMETHEUS_USER", ""),
    password=env.read(secret_name, "PROMETHEUS_PASSWORD_SECRET", ""),
)
PROMETHEUS_TLS = prometheus_tls(
    verify=env.read(boolean, "PROMETHEUS_VERIFY", "true"),
    ca=env.read(certificate_name, "PROMETHEUS_CA", ""),
    certificate=env.read(certificate_name, "PROMETHEUS_CERTIFICATE", ""),
)
PROMETHEUS_SCRAPE_SECONDS = env.read(whole_number, "PROMETHEUS_SCRAPE_SECONDS", 15, lowest=1, highest=3600)

# Whether steps may reach only registered services, not addresses from documents.
ONLY_REGISTERED_SERVICES = env.read(boolean, "ONLY_REGISTERED_SERVICES", "false")

# The networks that steps may connect to; empty for all. A page narrows this list and the next two.
ALLOWED_NETWORKS = env.read_list(networks, "ALLOWED_NETWORKS", [])

# What scenarios may do on the coordinator's own host; nothing else is allowed.
# For each command, the environment variables that steps may set. Other variables are refused because a
# command with a PATH, HOME or KUBECONFIG that the scenario chooses is a different command.
ALLOWED_COMMAND_VARIABLES = env.read_list(commands, "ALLOWED_COMMANDS", [])
ALLOWED_COMMANDS = tuple(ALLOWED_COMMAND_VARIABLES)
ALLOWED_PIDFILE_DIRS = env.read_list(absolute_directories, "ALLOWED_PIDFILE_DIRS", [])
# Where the 'descriptors' of grpc steps are, for servers without reflection.
GRPC_DESCRIPTOR_DIR = env.read(directory_or_none, "GRPC_DESCRIPTOR_DIR", "")
# Where the 'ca' and the 'certificate' of 'tls' are, as PEM files.
CERTIFICATE_DIR = env.read(directory_or_none, "CERTIFICATE_DIR", "")
ALLOWED_CHAOSTOOLKIT_MODULES = env.read_list(module_prefixes, "ALLOWED_CHAOSTOOLKIT_MODULES", [])

# Faults of hosts. On the coordinator's own host these kinds; other hosts have a list of their own.
ALLOWED_HOST_FAULTS = env.read_list(host_fault_kinds, "ALLOWED_HOST_FAULTS", [])
# The keys of hosts that ssh connects to, and the private keys to log in with; empty for those in ~/.ssh.
SSH_KNOWN_HOSTS = env.read(absolute_path_or_none, "SSH_KNOWN_HOSTS", "")
SSH_KEYS = env.read_list(absolute_paths, "SSH_KEYS", [])
HOST_PROGRAM_COMMAND = env.str("HOST_PROGRAM_COMMAND", "python3 -")
# Clusters: a kubeconfig, and the contexts in it that scenarios may name; without one, the account of the pod.
KUBERNETES_CONFIG = env.read(absolute_path_or_none, "KUBERNETES_CONFIG", "")
KUBERNETES_CONTEXTS = env.list("KUBERNETES_CONTEXTS", default=[])
# The namespaces that scenarios may break; empty for all that the account may.
KUBERNETES_NAMESPACES = env.read_list(dns_labels, "KUBERNETES_NAMESPACES", [])
# Namespaces, or '*' for all, in which a fault needs a second person's approval.
KUBERNETES_PROTECTED_NAMESPACES = env.read_list(
    protected_namespaces, "KUBERNETES_PROTECTED_NAMESPACES", ["kube-system", "kube-public", "kube-node-lease"]
)
# The kinds of objects that 'patch' may change, such as 'apps/v1/Deployment'.
KUBERNETES_PATCHED_KINDS = env.read_list(object_kinds, "KUBERNETES_PATCHED_KINDS", [])
# Faults of containers: the engines by name; a folder of each in CONTAINER_TLS_DIR has the files for TLS.
CONTAINER_ENGINES = env.read_list(container_engines, "CONTAINER_ENGINES", [])
CONTAINER_TLS_DIR = env.read(directory_or_none, "CONTAINER_TLS_DIR", "")
# Patterns of containers that may be broken, by name or as LABEL=VALUE; and of names that need an approval.
ALLOWED_CONTAINERS = env.read_list(container_patterns, "ALLOWED_CONTAINERS", [])
PROTECTED_CONTAINERS = env.read_list(container_name_patterns, "PROTECTED_CONTAINERS", [])
# The control APIs of fault proxies that may be asked; empty for those of all services.
FAULT_PROXIES = env.read_list(web_addresses, "FAULT_PROXIES", [])

# ${secret:NAME} is read from the environment variable with this prefix before NAME, else from the file NAME
# in the directory. `manage.py up` keeps the token of its fault proxy there.
SCENARIO_SECRET_PREFIX = env.read(variable_prefix, "SCENARIO_SECRET_PREFIX", "SCENARIO_SECRET_")
SCENARIO_SECRET_DIR = env.read(directory_or_none, "SCENARIO_SECRET_DIR", "") or DATA_DIR / "secrets"


# The token that `manage.py scenario --server` sends to the other coordinator

TEST_COORDINATOR_TOKEN = env.str("TEST_COORDINATOR_TOKEN", "")

# Hosts that webhooks may be sent to, and the Grafana that faults are annotated in

WEBHOOK_ALLOWED_HOSTS = env.read_list(
    host_names, "WEBHOOK_ALLOWED_HOSTS", [] if PRODUCTION else LOOPBACK_NAMES
)
# The mail server of webhooks of the kind email, and who they are from
EMAIL_URL = env.read(mail_server, "EMAIL_URL", "")
vars().update(env.email_url_config(EMAIL_URL) if EMAIL_URL else {})
EMAIL_TIMEOUT = 15.0
DEFAULT_FROM_EMAIL = env.read(mailbox, "EMAIL_FROM", f"test-coordinator@{urlsplit(PUBLIC_URL).hostname}")
GRAFANA_URL = env.read(web_address, "GRAFANA_URL", "").rstrip("/")
GRAFANA_TOKEN = env.str("GRAFANA_TOKEN", "")
# The collector that traces of runs are sent to, by OTLP over HTTP; and a page that shows one, at a span
# where the address has a place for its id.
TRACES_ENDPOINT = env.read(web_address, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")
TRACES_HEADERS = env.read_list(header_values, "OTEL_EXPORTER_OTLP_TRACES_HEADERS", [])
TRACE_URL = env.read(trace_address, "TRACE_URL", "")


# What `manage.py up` starts besides the coordinator; if a port is in use, it takes another

DEMO_EXCHANGE_PORT = env.read(whole_number, "DEMO_EXCHANGE_PORT", 8081, lowest=1, highest=MAX_PORT)
DEMO_RISK_MONITOR_PORT = env.read(whole_number, "DEMO_RISK_MONITOR_PORT", 8082, lowest=1, highest=MAX_PORT)
DEMO_PRICE_FEED_PORT = env.read(whole_number, "DEMO_PRICE_FEED_PORT", 8083, lowest=1, highest=MAX_PORT)
DEMO_PROXY_PORT = env.read(whole_number, "DEMO_PROXY_PORT", 8084, lowest=1, highest=MAX_PORT)
DEMO_PROXY_CONTROL_PORT = env.read(whole_number, "DEMO_PROXY_CONTROL_PORT", 8474, lowest=1, highest=MAX_PORT)
LOCAL_PROMETHEUS_PORT = env.read(whole_number, "LOCAL_PROMETHEUS_PORT", 9090, lowest=1, highest=MAX_PORT)

# The API

# Readers of event streams that may each occupy one of a web process's 8 threads (gunicorn.conf.py).
API_WAITING_STREAMS = env.read(whole_number, "API_WAITING_STREAMS", 2, lowest=0, highest=6)
# Unknown tokens that an address may send per minute before it has to wait.
API_FAILED_TOKENS_PER_MINUTE = env.read(
    whole_number, "API_FAILED_TOKENS_PER_MINUTE", 30, lowest=1, highest=1_000_000
)


# Tests: `manage.py test` runs pytest and the style checks

TEST_RUNNER = "coordinator_site.test_runner.PytestRunner"


# Logs: each line has the ID of its request or run, and no secrets

LOG_FORMAT = env.read(one_of, "LOG_FORMAT", logs.default_format(production=PRODUCTION), choices=logs.FORMATS)
LOG_LEVEL = one_of("LOG_LEVEL", env.str("LOG_LEVEL", "INFO").upper(), logs.LEVELS)
LOGGING = logs.logging_config(LOG_FORMAT, LOG_LEVEL, service=SERVICE_NAME, instance=SERVICE_INSTANCE_NAME)
logs.learn_secrets(env.ENVIRON, SECRET_KEY, *TRACES_HEADERS.values())
