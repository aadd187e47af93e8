"""What a voucher should be by plain rules: the model beside which the life of vouchers is tested."""

from dataclasses import dataclass, field
from typing import Any

from apps.core.errors import DomainError
from apps.vouchers import errors

# Each hold, the strongest first: what the history calls its beginning, and what the owner is told.
HOLDS = {
    "voided": ("voided", "by_staff"),
    "refunded": ("voided", "refunded"),
    "disputed": ("suspended", "disputed"),
    "refund_pending": ("held", "refund_pending"),
    "withdrawn": ("held", "withdrawn"),
    "suspended": ("suspended", "by_staff"),
}
VOID, MONEY = {"voided", "refunded"}, {"refunded", "disputed", "refund_pending"}


@dataclass
class Use:
    use_no: int
    user_id: int
    service: str
    key: str | None
    details: dict[str, int]
    days_ago: int = 0
    reversed: bool = False


@dataclass(eq=False)
class Model:
    """What a voucher should be."""

    pk: int
    owner: str
    type: str
    codes: list[str]  # of which the last is valid
    total: int
    days_left: int  # 0: today is the last
    service: str
    holds: set[str] = field(default_factory=set)
    uses: list[Use] = field(default_factory=list)
    history: list[tuple[str, str]] = field(default_factory=lambda: [("issued", "")])
    is_being_refunded: bool = False

    @property
    def given_back(self) -> int:
        return sum(use.reversed for use in self.uses)

    @property
    def left(self) -> int:
        return self.total - len(self.uses) + self.given_back

    @property
    def inactive_reason(self) -> str:
        return next((reason for hold, (_, reason) in HOLDS.items() if hold in self.holds), "")

    @property
    def status(self) -> str:
        if self.holds:
            return "inactive"
        if not self.left:
            return "used"
        return "active" if self.days_left >= 0 else "expired"

    def held(self, *holds: str) -> tuple[Any, DomainError]:
        """Whether one of these holds it, or any if none is named; and how that is refused."""
        return self.holds & set(holds or HOLDS), errors.VoucherInactive(reason=self.inactive_reason)

    def set_holds(self, holds: set[str]) -> bool:
        """Whether that changes anything."""
        before, self.holds = self.holds, holds
        begun = [(kind, hold) for hold, (kind, _) in HOLDS.items() if hold in holds - before]
        self.history += begun or [("released", hold) for hold in HOLDS if hold in before - holds]
        return holds != before


@dataclass(frozen=True)
class Request:
    voucher: Model
    by: str
    code: str
    service: str | None
    key: str | None
