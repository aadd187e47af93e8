from django.urls import path

from . import views

urlpatterns = [
    path("export/", views.Export.as_view(), name="export"),
    path("unsubscribe/", views.Unsubscribe.as_view(), name="unsubscribe"),
    path(
        "profile/update/",
        views.Profile.as_view(deprecated=True, http_method_names=["patch", "options"]),
        name="profile-update",
    ),
]
