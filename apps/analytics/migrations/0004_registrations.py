from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0003_active_days'),
        ('users', '0008_date_joined_index'),
    ]

    operations = [
        migrations.CreateModel(
            name='DailyRegistrations',
            fields=[
                ('day', models.DateField(primary_key=True, serialize=False)),
                ('users', models.IntegerField()),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.AddField(
            model_name='figuresstate',
            name='registered_until',
            field=models.DateTimeField(help_text='Until when DailyRegistrations are counted; empty if they are not. All days are counted at once.', null=True),
        ),
    ]
