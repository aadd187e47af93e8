"""A list of ten voucher types, as long as the catalogue in the benchmark: for floors that read no database."""

TYPES = [
    {
        "id": number + 1,
        "name": f"Voucher type {number}",
        "description": f"What voucher type {number} is for, in one line as a catalogue has it.",
        "price": f"{5 + 2.5 * number:.2f}",
        "currency": "USD",
        "service_type": f"service_{number}",
        "validity_days": 365,
        "max_uses": 1,
        "is_active": True,
    }
    for number in range(10)
]
