"""The WSGI application that gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application

from coordinator_site.startup import refuse_what_checks_find

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coordinator_site.settings")

refuse_what_checks_find()
application = get_wsgi_application()
