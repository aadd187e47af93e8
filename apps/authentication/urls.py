from django.urls import path

from . import email_views, views

urlpatterns = [
    path("register/", views.Register.as_view(), name="register"),
    path("login/", views.Login.as_view(), name="login"),
    path("token/refresh/", views.Refresh.as_view(), name="token-refresh"),
    path("refresh/", views.RenewAccess.as_view(deprecated=True), name="refresh"),
    path("token/verify/", views.Verify.as_view(), name="token-verify"),
    path("logout/", views.Logout.as_view(), name="logout"),
    path("password-reset/", views.RequestPasswordReset.as_view(), name="password-reset"),
    path("password-reset-confirm/", views.ResetPassword.as_view(), name="password-reset-confirm"),
    path("confirm-email/", email_views.ConfirmEmail.as_view(), name="confirm-email"),
    path("resend-confirmation/", email_views.ResendConfirmation.as_view(), name="resend-confirmation"),
    path("change-email-confirm/", email_views.ConfirmEmailChange.as_view(), name="change-email-confirm"),
    path("change-email-cancel/", email_views.CancelEmailChange.as_view(), name="change-email-cancel"),
    path("second-factor/", views.SecondFactor.as_view(), name="auth-second-factor"),
    path("profile/", views.Profile.as_view(), name="auth-profile"),
]
