"""The WSGI application that gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application

from coordinator_site.startup import run_system_checks

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coordinator_site.settings")

run_system_checks()
application = get_wsgi_application()
