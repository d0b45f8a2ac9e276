"""Headers that every answer carries, beside those of Django and the Content-Security-Policy."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

# Nothing of the device is asked for.
PERMISSIONS = ", ".join(
    f"{feature}=()"
    for feature in (
        "accelerometer",
        "camera",
        "display-capture",
        "geolocation",
        "gyroscope",
        "magnetometer",
        "microphone",
        "midi",
        "payment",
        "usb",
    )
)


class HeadersMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.setdefault("Permissions-Policy", PERMISSIONS)
        response.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        user = getattr(request, "_cached_user", None)
        if (user is not None and user.is_authenticated) or request.method != "GET":
            # A chart stays in no cache, neither a proxy's nor the browser's own.
            response.setdefault("Cache-Control", "no-store")
        return response
