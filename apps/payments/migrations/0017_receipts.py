"""The tables of receipts. `0018_fill_receipts` gives one to each earlier sale."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('payments', '0016_export_permissions'),
    ]

    operations = [
        migrations.CreateModel(
            name='ReceiptCounter',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('last_number', models.PositiveBigIntegerField()),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='payments_one_receipt_counter')],
            },
        ),
        migrations.CreateModel(
            name='Receipt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveBigIntegerField(unique=True)),
                ('paid_at', models.DateTimeField()),
                ('time_zone', models.CharField(help_text='In which the time of payment is printed.', max_length=63)),
                ('shop_name', models.CharField(max_length=100)),
                ('contact', models.CharField(blank=True, max_length=200)),
                ('seller_name', models.CharField(blank=True, max_length=200)),
                ('seller_address', models.CharField(blank=True, max_length=500)),
                ('seller_tax_number', models.CharField(blank=True, max_length=100)),
                ('buyer_name', models.CharField(blank=True, max_length=301)),
                ('buyer_email', models.EmailField(blank=True, max_length=254)),
                ('item', models.CharField(help_text='What the type was called.', max_length=200)),
                ('detail', models.CharField(help_text='Its service, and the uses of each voucher.', max_length=200)),
                ('quantity', models.PositiveIntegerField()),
                ('unit_price', models.DecimalField(decimal_places=2, max_digits=10)),
                ('amount', models.DecimalField(decimal_places=2, max_digits=12)),
                ('currency', models.CharField(max_length=3)),
                ('tax_rate', models.DecimalField(blank=True, decimal_places=3, help_text='In percent; the amount includes it.', max_digits=5, null=True)),
                ('tax_amount', models.DecimalField(blank=True, decimal_places=2, max_digits=12, null=True)),
                ('code_endings', models.TextField(blank=True, help_text="The last four symbols of each voucher's code, with spaces between.")),
                ('transaction', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='receipt', to='payments.transaction')),
            ],
            options={
                'ordering': ('-number',),
                'constraints': [models.CheckConstraint(condition=models.Q(('number__gte', 1)), name='payments_receipts_from_one'), models.CheckConstraint(condition=models.Q(models.Q(('tax_amount__isnull', True), ('tax_rate__isnull', True)), models.Q(('tax_amount__isnull', False), ('tax_rate__isnull', False)), _connector='OR'), name='payments_receipt_tax_whole')],
            },
        ),
    ]
