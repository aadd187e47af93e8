"""Signing up, in and out over HTTP: tokens in the body, or in cookies for browsers that ask for it."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import rotate_token
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core.api.openapi import documented
from apps.core.errors import TooManyAttempts
from apps.core.languages import negotiate
from apps.core.rate_limits import count_failures, hit, successes, undo
from apps.core.views import PublicView
from apps.users import services as users_services
from apps.users import views as users
from apps.users.errors import AccountClosed, EmailTaken, InvalidFields, SuperuserAccount, WrongPassword
from apps.users.password_limits import password_attempts
from apps.users.serializers import UserOutput

from . import authentication, cookies, devices, password_reset_links, rate_limits, selectors, services, tokens
from .errors import (
    CsrfFailed,
    InvalidCredentials,
    ResetLinkInvalid,
    SecondFactorCodeInvalid,
    SecondFactorNotEnrolled,
    TokenInvalid,
)
from .serializers import (
    ChangePasswordInput,
    CloseAccountInput,
    LoginInput,
    LogoutInput,
    MessageOutput,
    PasswordChangedOutput,
    PasswordResetConfirmInput,
    PasswordResetInput,
    RefreshInput,
    RegisterInput,
    SecondFactorInput,
    SignedInOutput,
    TokensOutput,
    VerifyInput,
)
from .tokens import TokenPair


class Register(PublicView):
    @documented(
        "Make an account and sign in.",
        operation_id="register",
        request=RegisterInput,
        answers={201: SignedInOutput},
    )
    def post(self, request: Request) -> Response:
        form_data = form_data_of(RegisterInput, request)
        use_cookies = form_data.pop("use_cookies")
        form_data.setdefault("language", negotiate(request.headers.get("Accept-Language", "")))
        with (
            successes(of=rate_limits.registrations(request)),
            count_failures(EmailTaken, of=rate_limits.taken_addresses(request)),
        ):
            signed_in = services.register(**form_data)
        return _welcome(request, signed_in, "Your account is ready.", use_cookies, status=201)


class Login(PublicView):
    @documented(
        "Sign in.",
        operation_id="login",
        request=LoginInput,
        answers={200: SignedInOutput},
        errors=(InvalidCredentials,),
    )
    def post(self, request: Request) -> Response:
        form_data = form_data_of(LoginInput, request)
        use_cookies = form_data.pop("use_cookies")
        device = devices.device_of(request._request, form_data["email"], form_data.pop("device_token"))
        with count_failures(
            InvalidCredentials, of=password_attempts(request, form_data["email"], device=device)
        ):
            signed_in = services.login(**form_data)
        return _welcome(request, signed_in, "You are signed in.", use_cookies)


class Refresh(PublicView):
    deprecated = False

    @documented(
        "Exchange a refresh token for a new pair. It is used up: "
        f"within {services.REFRESH_GRACE.seconds} seconds it gets the same pair again, later it ends its session.",
        operation_id="token_refresh",
        request=RefreshInput,
        answers={200: TokensOutput},
        errors=(TokenInvalid, CsrfFailed),
    )
    def post(self, request: Request) -> Response:
        return self._exchange(request, services.refresh_session)

    @staticmethod
    def _exchange(request: Request, exchange: Callable[..., TokenPair]) -> Response:
        refresh = form_data_of(RefreshInput, request)["refresh"]
        by_cookie = not refresh
        if by_cookie:
            refresh = cookies.REFRESH.read(request)
            if not refresh:
                raise InvalidFields(refresh=[("required", "This field is required.")])
            authentication.require_csrf_token(request)
        with rate_limits.invalid_tokens(request, refresh):
            claims = tokens.read_refresh(refresh)
            hit(rate_limits.refreshes(claims))
            return hand_over({}, exchange(claims), by_cookie)


class RenewAccess(Refresh):
    """The older address of Refresh, for a client that keeps only `access` of the answer."""

    @documented(
        "Get a new access token. The refresh token stays as it was sent, for its seven days.",
        operation_id="token_refresh",
        request=RefreshInput,
        answers={200: TokensOutput},
        errors=(TokenInvalid, CsrfFailed),
    )
    def post(self, request: Request) -> Response:
        return self._exchange(request, services.renew_access)


class Verify(PublicView):
    @documented(
        "Whether a token, access or refresh, still works.",
        operation_id="token_verify",
        request=VerifyInput,
        answers={200: MessageOutput},
        errors=(TokenInvalid,),
    )
    def post(self, request: Request) -> Response:
        token = form_data_of(VerifyInput, request)["token"]
        with rate_limits.invalid_tokens(request, token):
            selectors.check_token(token)
        return Response({"message": "The token is valid."})


class Logout(APIView):
    def check_permissions(self, request: Request) -> None:
        """A browser whose access cookie has run out may still sign out, by the refresh cookie."""
        if request.auth is None and cookies.REFRESH.read(request):
            authentication.require_csrf_token(request)
        else:
            super().check_permissions(request)

    @documented(
        "End a session, or all of them. Its access tokens stop working too.",
        operation_id="logout",
        request=LogoutInput,
        answers={200: MessageOutput},
        errors=(TokenInvalid, CsrfFailed),
    )
    def post(self, request: Request) -> Response:
        form_data = form_data_of(LogoutInput, request)
        user: Any = request.user
        auth: Any = request.auth
        if auth is None:
            user = services.revoke_session_by_token(refresh=cookies.REFRESH.read(request))
        elif form_data["refresh"] and not form_data["everywhere"]:
            services.revoke_own_session_by_token(user=user, refresh=form_data["refresh"])
        else:
            services.revoke_session(user=user, sid=auth.sid)
            with suppress(InvalidFields):  # a cookie that a browser still has, of whatever age
                services.revoke_own_session_by_token(user=user, refresh=cookies.REFRESH.read(request))
        if form_data["everywhere"] and user:
            services.revoke_all_sessions(user=user)
        response = Response({"message": "You are signed out."})
        cookies.clear(response)
        return response


class ChangePassword(APIView):
    @documented(
        "Change one's password. Every session ends; the answer has the tokens of a new one.",
        operation_id="change_password",
        request=ChangePasswordInput,
        answers={200: PasswordChangedOutput},
        errors=(TokenInvalid, CsrfFailed),
    )
    def post(self, request: Request) -> Response:
        form_data = form_data_of(ChangePasswordInput, request)
        user: Any = request.user
        auth: Any = request.auth
        with count_failures(WrongPassword, of=password_attempts(request, user.email, device=str(auth.sid))):
            tokens = services.change_password(user=user, **form_data)
        return hand_over({"message": "Your password is changed."}, tokens, auth.by_cookie)


class SecondFactor(APIView):
    @documented(
        "Prove the second factor of staff: from then on this session may do what staff may. Where staff need one, it"
        " may do until then what customers may.",
        operation_id="second_factor",
        request=SecondFactorInput,
        answers={200: MessageOutput},
        errors=(SecondFactorCodeInvalid, SecondFactorNotEnrolled, CsrfFailed),
    )
    def post(self, request: Request) -> Response:
        form_data = form_data_of(SecondFactorInput, request)
        user: Any = request.user
        auth: Any = request.auth
        with count_failures(SecondFactorCodeInvalid, of=rate_limits.second_factor_attempts(user)):
            services.pass_second_factor(user=user, sid=auth.sid, **form_data)
        return Response({"message": "The second factor is confirmed."})


class RequestPasswordReset(PublicView):
    @documented(
        "Ask for a link by which to set a new password. The answer is the same whether or not there is an account.",
        operation_id="password_reset",
        request=PasswordResetInput,
        answers={202: MessageOutput},
    )
    def post(self, request: Request) -> Response:
        email = form_data_of(PasswordResetInput, request)["email"]
        hit(*rate_limits.resets(request, email))
        services.request_password_reset(email=email)
        return Response({"message": "If there is an account, a link is on its way to it."}, status=202)


class ResetPassword(PublicView):
    @documented(
        "Set a new password with what the link holds. It works once, within an hour; every session ends.",
        operation_id="password_reset_confirm",
        request=PasswordResetConfirmInput,
        answers={200: MessageOutput},
        errors=(ResetLinkInvalid,),
    )
    def post(self, request: Request) -> Response:
        form_data = form_data_of(PasswordResetConfirmInput, request)
        hit(*rate_limits.resets(request))
        services.reset_password(**form_data)
        return Response({"message": "Your password is changed. You can sign in with it."})


class Account(users.Profile):
    """What is at /api/users/profile/: the profile, and the account as a whole."""

    @documented(
        "Close one's account. All that says who one is gets erased, every session ends; what was bought and "
        "redeemed stays in the books without a name. The codes keep working for whoever holds them.",
        operation_id="profile_close",
        request=CloseAccountInput,
        answers={204: None},
        errors=(TokenInvalid, CsrfFailed, SuperuserAccount),
    )
    def delete(self, request: Request) -> Response:
        form_data = form_data_of(CloseAccountInput, request)
        user: Any = request.user
        auth: Any = request.auth
        with count_failures(WrongPassword, of=password_attempts(request, user.email, device=str(auth.sid))):
            users_services.close_account(user=user, **form_data)
        response = Response(status=204)
        cookies.clear(response)
        return response


class Profile(users.Profile):
    """The same resource as /api/users/profile/."""

    @documented("One's own profile.", operation_id="auth_profile", answers={200: UserOutput})
    def get(self, request: Request) -> Response:
        return super().get(request)

    @documented(
        "Change one's own profile, as at /api/users/profile/.",
        operation_id="auth_profile_replace",
        request=users.ALL_FIELDS,
        answers={200: UserOutput},
        errors=(AccountClosed,),
    )
    def put(self, request: Request) -> Response:
        return super().put(request)

    @documented(
        "Change some fields of one's own profile, as at /api/users/profile/.",
        operation_id="auth_profile_update",
        request=users.SOME_FIELDS,
        answers={200: UserOutput},
        errors=(AccountClosed,),
    )
    def patch(self, request: Request) -> Response:
        return super().patch(request)


def sign_in_to_admin(request: HttpRequest) -> HttpResponseBase:
    """The admin's sign-in, which leaves a browser the proof that it was signed in to this account."""
    response = admin.site.login(request)
    if request.method == "POST" and response.status_code == 302 and request.user.is_authenticated:
        devices.remember(response, request, request.user.email)
    return response


def change_password_in_admin(request: HttpRequest) -> HttpResponseBase:
    """The admin's page for a new password of one's own, under the limits on passwords; one gets a mail about it."""
    page = admin.site.admin_view(admin.site.password_change, cacheable=True)
    if request.method != "POST" or not request.user.is_authenticated:
        return page(request)
    try:
        session = str(request.session.session_key)
        hits = hit(*password_attempts(request, request.user.email, device=session))
    except TooManyAttempts as error:
        text = f"{error.detail}\n"
        headers = {"Retry-After": str(error.retry_after)}
        return HttpResponse(text, status=429, content_type="text/plain", headers=headers)
    before = request.user.password
    with transaction.atomic():
        response = page(request)
        # Not by the status alone: who has yet to pass the second factor is sent there.
        is_done = response.status_code == 302 and request.user.password != before
        if is_done:
            password_reset_links.tell_of_change(request.user)
    if is_done:
        undo(hits)
    return response


def form_data_of(serializer: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    """The validated body."""
    read = serializer(data=request.data)
    read.is_valid(raise_exception=True)
    return dict(read.validated_data)


def _welcome(
    request: Request, signed_in: services.SignedIn, message: str, use_cookies: bool, status: int = 200
) -> Response:
    """The answer to whoever has just proved who they are."""
    body = {"user": UserOutput(signed_in.user, context={"request": request}).data, "message": message}
    if not use_cookies:
        body["device_token"] = devices.proof_for(signed_in.user.email)
        return hand_over(body, signed_in.tokens, use_cookies, status)
    rotate_token(request._request)
    response = hand_over(body, signed_in.tokens, use_cookies, status)
    devices.remember(response, request._request, signed_in.user.email)
    return response


def hand_over(body: dict[str, Any], tokens: TokenPair, by_cookie: bool, status: int = 200) -> Response:
    """`body` with the tokens in it, or with the tokens in cookies."""
    if by_cookie:
        response = Response(body, status=status)
        cookies.put(response, access=tokens.access, refresh=tokens.refresh)
        return response
    return Response({**body, "access": tokens.access, "refresh": tokens.refresh}, status=status)
