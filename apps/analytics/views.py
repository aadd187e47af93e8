"""Figures for people and for staff."""

from datetime import datetime

from django.conf import settings
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core.api.openapi import documented
from apps.core.api.responses import document_response
from apps.users.current_user import current_user
from apps.users.errors import SecondFactorRequired
from apps.users.models import User
from apps.users.permissions import has_staff_permission, require_staff_permission

from . import errors, selectors
from .documents import dashboard_document
from .models import VIEW_FIGURES
from .periods import Period, days_until
from .serializers import PERIOD_PARAMETERS, DashboardOutput, PeriodInput, RevenueOutput


class MayViewFigures(BasePermission):
    def has_permission(self, request: Request, view: APIView) -> bool:
        require_staff_permission(current_user(request), VIEW_FIGURES, otherwise=errors.StaffOnly)
        return True


def _period_of(request: Request, now: datetime) -> Period:
    if PERIOD_PARAMETERS.isdisjoint(request.query_params):
        return days_until(timezone.localdate(now))
    serializer = PeriodInput(data=request.query_params, context={"today": timezone.localdate(now)})
    serializer.is_valid(raise_exception=True)
    period: Period = serializer.validated_data["period"]
    return period


def _dashboard(request: Request, owner: User | None) -> HttpResponse:
    now = timezone.now()
    figures = selectors.dashboard(
        owner=owner, period=_period_of(request, now), now=now, currency=settings.DEFAULT_CURRENCY
    )
    return document_response(request, dashboard_document(figures))


class Dashboard(APIView):
    @documented(
        "Figures of a period: the platform's for staff with the permission to view them, one's own for everyone else.",
        operation_id="analytics_dashboard",
        parameters=[PeriodInput],
        answers={200: DashboardOutput},
    )
    def get(self, request: Request) -> HttpResponse:
        user = current_user(request)
        return _dashboard(request, None if has_staff_permission(user, VIEW_FIGURES) else user)


class Personal(APIView):
    @documented(
        "One's own figures of a period, also for staff.",
        operation_id="analytics_user",
        parameters=[PeriodInput],
        answers={200: DashboardOutput},
    )
    def get(self, request: Request) -> HttpResponse:
        return _dashboard(request, current_user(request))


class Revenue(APIView):
    permission_classes = (IsAuthenticated, MayViewFigures)

    @documented(
        "Sales by day and by type, refunds, and what is paid but unused. For staff who may view figures.",
        operation_id="analytics_revenue",
        parameters=[PeriodInput],
        answers={200: RevenueOutput},
        errors=(errors.StaffOnly, SecondFactorRequired),
    )
    def get(self, request: Request) -> Response:
        now = timezone.now()
        figures = selectors.revenue(
            period=_period_of(request, now), now=now, currency=settings.DEFAULT_CURRENCY
        )
        return Response(RevenueOutput(figures).data)
