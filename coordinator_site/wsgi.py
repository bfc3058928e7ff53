"""The WSGI application that gunicorn serves."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from coordinator_site.chunked_bodies import read_chunked_bodies
from coordinator_site.startup import run_system_checks
from coordinator_site.url_prefixes import accept_prefix

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coordinator_site.settings")

run_system_checks()
application = read_chunked_bodies(
    accept_prefix(get_wsgi_application(), settings.URL_PREFIX), settings.DATA_UPLOAD_MAX_MEMORY_SIZE
)
