"""Leases, in place of locks that belong to a session of the database."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ('core', '0004_bulk_operations'),
    ]

    operations = [
        migrations.CreateModel(
            name='Lease',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100)),
                ('holder', models.CharField(help_text='Host, process and a random number.', max_length=100)),
                ('expires_at', models.DateTimeField(help_text="By the database's clock; in the past: nobody holds it.")),
            ],
            options={
                'ordering': ('name',),
                'constraints': [models.UniqueConstraint(fields=('name',), name='core_lease_name')],
            },
        ),
    ]
