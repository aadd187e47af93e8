from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("authentication", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="session",
            name="second_factor_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
