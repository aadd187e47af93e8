from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0004_registrations'),
    ]

    operations = [
        migrations.AddField(
            model_name='figuresstate',
            name='version',
            field=models.BigIntegerField(db_default=0, default=0, help_text='How often the roll-up was written to: it is what it was while this is.'),
        ),
    ]
