"""Settings of the floor of REST framework: the product's database, simplejwt with its defaults, one short middleware.

Of the environment: DATABASE_URL, of a database that the product has migrated, and SECRET_KEY, which signs the tokens.
"""

import os

import dj_database_url

SECRET_KEY = os.environ["SECRET_KEY"]
ALLOWED_HOSTS = ["*"]
MIDDLEWARE = ["bench.floors.length.content_length"]
ROOT_URLCONF = "bench.floors.drf_view"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "bench.floors"]
AUTH_USER_MODEL = "floors.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": dj_database_url.config(conn_max_age=None)}
USE_TZ = True

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
}
