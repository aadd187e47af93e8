"""What of a refund no voucher is void for."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0004_attempts_at_stripe'),
    ]

    operations = [
        migrations.AddField(
            model_name='transaction',
            name='amount_goodwill',
            field=models.DecimalField(db_default=0, decimal_places=2, default=0, help_text="What of the amount refunded no voucher is void for: less than a voucher's price.", max_digits=12),
        ),
    ]
