from django.urls import path

from . import views

urlpatterns = [
    path("profile/", views.Profile.as_view(), name="profile"),
    path(
        "profile/update/",
        views.Profile.as_view(deprecated=True, http_method_names=["patch", "options"]),
        name="profile-update",
    ),
]
