"""The ASGI application, for uvicorn or any other ASGI server."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "openketamine.site.settings")
application = get_asgi_application()

if os.environ.get("OPENKETAMINE_SERVING") == "1":
    from django.conf import settings

    if settings.FORECASTS:
        from openketamine.clinic.sessions import forecasts

        forecasts.warm_up()
