"""What the pages' script asks the server for: the two ceremonies of passkeys, JSON in and out."""

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_POST

from apps.authentication.errors import EnrolmentClosed, PasskeyRefused, SecondFactorNotEnrolled
from apps.authentication.rate_limits import second_factor_attempts
from apps.authentication.second_factor import enrolment, factors, fresh_proof, passkeys
from apps.core.errors import DomainError, TooManyAttempts
from apps.core.rate_limits import count_failures
from apps.users.current_user import current_user

from .pages import address_after_adding, after_adding, next_address

JsonView = Callable[[HttpRequest], dict[str, Any]]


def _json(view: JsonView) -> Callable[[HttpRequest], HttpResponse]:
    """A view that answers POST with JSON: what `view` returns, or {"detail": …} of its DomainError with 400 or 429."""

    @require_POST
    @wraps(view)
    def answer(request: HttpRequest) -> HttpResponse:
        try:
            return JsonResponse(view(request))
        except TooManyAttempts as error:
            headers = {"Retry-After": str(error.retry_after)}
            return JsonResponse({"detail": error.detail}, status=429, headers=headers)
        except DomainError as error:
            return JsonResponse({"detail": error.detail}, status=400)

    return answer


@_json
def begin_adding(request: HttpRequest) -> dict[str, Any]:
    """Options to make a passkey."""
    _require_open(request)
    return passkeys.begin_adding(request, current_user(request))


@_json
def add(request: HttpRequest) -> dict[str, Any]:
    """Takes the passkey that was made; `next` is where it goes on."""
    _require_open(request)
    user = current_user(request)
    is_first = not factors.has_factor(user)
    passkey = passkeys.add(request, user, _body(request))
    after_adding(request, passkey, is_first=is_first)
    return {"next": address_after_adding(request, is_first=is_first)}


@_json
def begin_proving(request: HttpRequest) -> dict[str, Any]:
    """Options to prove a passkey of the person's own."""
    user = current_user(request)
    if not factors.has_passkey(user):
        raise SecondFactorNotEnrolled
    return passkeys.begin_proving(request, user)


@_json
def prove(request: HttpRequest) -> dict[str, Any]:
    """Takes the proof; `next` is where it goes on."""
    user = current_user(request)
    with count_failures(PasskeyRefused, of=second_factor_attempts(user)):
        passkey = passkeys.prove(request, user, _body(request))
    fresh_proof.note_passed(request, passkey)
    return {"next": next_address(request)}


def _require_open(request: HttpRequest) -> None:
    if not enrolment.is_open(request, current_user(request)):
        raise EnrolmentClosed


def _body(request: HttpRequest) -> Any:
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError) as error:
        raise PasskeyRefused from error
    if not isinstance(body, dict):
        raise PasskeyRefused
    return body
