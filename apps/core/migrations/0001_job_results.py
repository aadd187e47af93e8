"""The results of the jobs that check something."""

from django.db import migrations, models

from apps.core.index_operations import DropPrefixIndex


class Migration(migrations.Migration):
    atomic = False

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='JobResult',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100, unique=True)),
                ('finished_at', models.DateTimeField()),
                ('problems', models.PositiveIntegerField(help_text='What a person must look at.')),
                ('details', models.JSONField(blank=True, default=list)),
                ('complete', models.BooleanField(help_text='Whether everything could be checked.')),
                ('next_due_at', models.DateTimeField(help_text='By when it should have run again.')),
            ],
            options={
                'ordering': ('name',),
            },
        ),
        DropPrefixIndex('jobresult', 'name'),
    ]
