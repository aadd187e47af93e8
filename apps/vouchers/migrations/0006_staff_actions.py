"""Who may do what to a voucher, and give uses back."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('vouchers', '0005_batch_exports'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='voucher',
            options={'ordering': ('-purchase_date', '-id'), 'permissions': (('extend_voucher', 'Can extend vouchers'), ('suspend_voucher', 'Can suspend and release vouchers'), ('void_voucher', 'Can void vouchers'), ('reissue_voucher', 'Can give vouchers a new code'))},
        ),
        migrations.AlterModelOptions(
            name='voucherusage',
            options={'ordering': ('-used_at', '-id'), 'permissions': (('reverse_usage', 'Can give uses back'),)},
        ),
    ]
