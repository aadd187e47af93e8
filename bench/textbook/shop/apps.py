from django.apps import AppConfig


class ShopConfig(AppConfig):
    name = "bench.textbook.shop"
    default_auto_field = "django.db.models.BigAutoField"
