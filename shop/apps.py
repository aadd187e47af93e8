"""The reference shop, as Django loads it: its page, and its static files."""

from django.apps import AppConfig


class ShopConfig(AppConfig):
    name = "shop"
