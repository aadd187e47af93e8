"""Who may decide about refunds, and who may make them."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0002_refunds_disputes_keys'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='refund',
            options={'ordering': ('-created_at', '-id'), 'permissions': (('decide_refund', 'Can approve and reject refunds, and send them again'), ('make_refund', 'Can refund vouchers without a request of the buyer'))},
        ),
    ]
