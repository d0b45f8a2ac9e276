from django.apps import AppConfig


class ReviewsConfig(AppConfig):
    name = "openketamine.clinic.reviews"
    label = "reviews"

    def ready(self) -> None:
        from . import services  # noqa: F401 - listens to the clock
