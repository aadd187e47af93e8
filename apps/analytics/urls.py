from django.urls import path

from . import views

app_name = "analytics"
urlpatterns = [
    path("dashboard/", views.Dashboard.as_view(), name="dashboard"),
    path("user/", views.Personal.as_view(), name="user"),
    path("revenue/", views.Revenue.as_view(), name="revenue"),
]
