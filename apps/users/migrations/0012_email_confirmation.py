"""Confirmation of e-mail addresses. The accounts that there are count as confirmed, without a write of their rows.

PostgreSQL gives the existing rows the default of the new column; then it is dropped, so that a row which the version
before inserts from now on has null, as one of a new account: its address is confirmed later.
"""

import apps.users.models
import django.db.models.deletion
import django.db.models.functions
import django.utils.timezone
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('users', '0011_language'),
    ]

    operations = [
        migrations.AddField(
            model_name='user',
            name='email_confirmed_at',
            field=models.DateTimeField(blank=True, db_default=django.db.models.functions.Now(), editable=False, help_text='When the owner proved that mail to the address reaches them. Until then no codes are mailed.', null=True, verbose_name='e-mail confirmed'),
        ),
        migrations.AlterField(
            model_name='user',
            name='email_confirmed_at',
            field=models.DateTimeField(blank=True, editable=False, help_text='When the owner proved that mail to the address reaches them. Until then no codes are mailed.', null=True, verbose_name='e-mail confirmed'),
        ),
        migrations.CreateModel(
            name='EmailChange',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('new_email', apps.users.models.EmailAddressField(max_length=254)),
                ('auth_hash', models.CharField(max_length=64)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('expires_at', models.DateTimeField(db_index=True)),
                ('user', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='email_change', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='WithheldMail',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(max_length=40)),
                ('reference', models.PositiveBigIntegerField(help_text='The number of the row that it is about.')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('user', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='withheld_mails', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('user', 'kind', 'reference'), name='users_mail_withheld_once')],
            },
        ),
    ]
