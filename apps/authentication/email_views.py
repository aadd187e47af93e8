"""The address of an account over HTTP: confirming it, and changing it."""

from typing import Any

from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core.api.openapi import documented
from apps.core.rate_limits import count_failures, hit
from apps.core.views import PublicView
from apps.users import email_changes, email_confirmation
from apps.users.errors import (
    AccountClosed,
    ConfirmationLinkInvalid,
    EmailAlreadyConfirmed,
    EmailChangeLinkInvalid,
    NewEmailTaken,
    StaffAddress,
    WrongPassword,
)
from apps.users.password_limits import password_attempts

from . import rate_limits, services
from .errors import CsrfFailed, TokenInvalid
from .serializers import (
    ChangeEmailInput,
    EmailChangedOutput,
    EmailChangeOutput,
    EmailLinkInput,
    MessageOutput,
    ResendConfirmationInput,
)
from .views import form_data_of, hand_over


class ConfirmEmail(PublicView):
    @documented(
        "Confirm the address of a new account with what the link in its mail holds. It works once, within a day; mails"
        " with codes that were withheld until then are sent.",
        operation_id="confirm_email",
        request=EmailLinkInput,
        answers={200: MessageOutput},
        errors=(ConfirmationLinkInvalid, EmailAlreadyConfirmed),
    )
    def post(self, request: Request) -> Response:
        email_confirmation.confirm_by_link(**form_data_of(EmailLinkInput, request))
        return Response({"message": "Your e-mail address is confirmed."})


class ResendConfirmation(PublicView):
    @documented(
        "Ask for another link by which to confirm an address. The answer is the same whether or not there is an"
        " account, and whether or not its address is confirmed.",
        operation_id="resend_confirmation",
        request=ResendConfirmationInput,
        answers={202: MessageOutput},
    )
    def post(self, request: Request) -> Response:
        email = form_data_of(ResendConfirmationInput, request)["email"]
        hit(*rate_limits.confirmation_mails(request, email))
        email_confirmation.send_link_again(email=email)
        return Response(
            {"message": "If there is an account to be confirmed, a link is on its way to it."}, status=202
        )


class ChangeEmail(APIView):
    @documented(
        "The change of one's address that waits for its link to be followed.",
        operation_id="email_change",
        answers={200: EmailChangeOutput},
    )
    def get(self, request: Request) -> Response:
        user: Any = request.user
        change = email_changes.open_change_of(user)
        if change is None:
            return Response({"new_email": None, "expires_at": None})
        return Response(EmailChangeOutput(change).data)

    @documented(
        "Ask for another e-mail address. A link is mailed there, and it counts once that is followed; the old address"
        " gets a note with a link that stops it. The answer is the same whether or not somebody has the new address.",
        operation_id="change_email",
        request=ChangeEmailInput,
        answers={202: MessageOutput},
        errors=(TokenInvalid, CsrfFailed, StaffAddress, AccountClosed),
    )
    def post(self, request: Request) -> Response:
        form_data = form_data_of(ChangeEmailInput, request)
        user: Any = request.user
        auth: Any = request.auth
        with count_failures(WrongPassword, of=password_attempts(request, user.email, device=str(auth.sid))):
            email_changes.check_password(user=user, password=form_data["password"])
        hit(*rate_limits.email_changes(request, user, form_data["new_email"]))
        email_changes.request_email_change(user=user, new_email=form_data["new_email"])
        return Response({"message": "If the address is free, a link is on its way to it."}, status=202)

    @documented(
        "Stop the change of one's address that waits for its link; nothing happens where there is none.",
        operation_id="email_change_withdraw",
        answers={204: None},
        errors=(TokenInvalid, CsrfFailed),
    )
    def delete(self, request: Request) -> Response:
        user: Any = request.user
        email_changes.cancel(user=user)
        return Response(status=204)


class ConfirmEmailChange(APIView):
    permission_classes = (AllowAny,)

    @documented(
        "Change the address with what the link at the new one holds. Every session ends; a request that is signed in"
        " to this account gets the tokens of a new one. Both addresses are told.",
        operation_id="change_email_confirm",
        request=EmailLinkInput,
        answers={200: EmailChangedOutput},
        errors=(EmailChangeLinkInvalid, NewEmailTaken, TokenInvalid, CsrfFailed),
    )
    def post(self, request: Request) -> Response:
        changed = email_changes.confirm_email_change(**form_data_of(EmailLinkInput, request))
        body = {"message": "Your e-mail address is changed. From now on you sign in with it."}
        auth: Any = request.auth
        if auth is None or request.user.pk != changed.pk:
            return Response(body)
        return hand_over(body, services.open_session(user=changed), auth.by_cookie)


class CancelEmailChange(PublicView):
    @documented(
        "Stop a change of address with what the link at the old one holds.",
        operation_id="change_email_cancel",
        request=EmailLinkInput,
        answers={200: MessageOutput},
        errors=(EmailChangeLinkInvalid,),
    )
    def post(self, request: Request) -> Response:
        email_changes.cancel_by_link(**form_data_of(EmailLinkInput, request))
        return Response({"message": "The address of your account stays as it is."})
