"""Currencies and the limits of an amount (Stripe's docs, page "Supported currencies")."""

from __future__ import annotations

from local_stripe.protocol.errors import invalid

ZERO_DECIMAL = frozenset(
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"]
)
THREE_DECIMAL = frozenset(["bhd", "jod", "kwd", "omr", "tnd"])
TWO_DECIMAL = frozenset(
    """aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd bwp byn bzd cad cdf chf cny cop
    crc cve czk dkk dop dzd egp etb eur fjd fkp gbp gel ghs gip gmd gtq gyd hkd hnl htg huf idr ils inr isk jmd kes
    kgs khr kyd kzt lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd pab
    pen pgk php pkr pln qar ron rsd rub sar sbd scr sek sgd shp sle sos srd std szl thb tjs top try ttd twd tzs uah
    ugx usd uyu uzs wst xcd xcg yer zar zmw""".split()
)
SUPPORTED = ZERO_DECIMAL | THREE_DECIMAL | TWO_DECIMAL

# In minor units, for an account that settles in the same currency.
MINIMUM = {
    "aed": 200, "bgn": 100, "czk": 1500, "dkk": 250, "gbp": 30, "hkd": 400, "huf": 17500, "mxn": 1000,
    "myr": 200, "nok": 300, "pln": 200, "ron": 200, "sek": 300, "thb": 1000,
}  # fmt: skip
MAXIMUM = 99_999_999
_SIGNS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}


def exponent(currency: str) -> int:
    """The number of decimals of a currency's minor unit: 0, 2 or 3."""
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


def minimum(currency: str) -> int:
    """The smallest amount that may be charged, in minor units."""
    return MINIMUM.get(currency, 500 if currency in THREE_DECIMAL else 50)


def check_amount(amount: int, currency: str) -> None:
    """Raise ``amount_too_small`` or ``amount_too_large``; three-decimal amounts must end in 0."""
    if amount < minimum(currency):
        least = _written(minimum(currency), currency)
        raise invalid(f"Amount must be at least {least}", "amount", "amount_too_small")
    if amount > MAXIMUM:
        most = _written(MAXIMUM, currency)
        raise invalid(f"Amount must be no more than {most}", "amount", "amount_too_large")
    if currency in THREE_DECIMAL and amount % 10:
        raise invalid(f"Amount in {currency} must be a multiple of 10", "amount", "parameter_invalid_integer")


def money(amount: int, currency: str) -> str:
    """An amount as Stripe writes it in messages about refunds: ``$12.00``."""
    number = f"{amount / 10 ** exponent(currency):,.{exponent(currency)}f}"
    return f"{_SIGNS[currency]}{number}" if currency in _SIGNS else f"{number} {currency}"


def _written(amount: int, currency: str) -> str:
    places = exponent(currency)
    sign = "$" if currency == "usd" else ""
    return f"{sign}{amount / 10**places:,.{places}f} {currency}"
