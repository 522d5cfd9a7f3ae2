"""Create the table `orders`."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """The app's first migration."""

    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="Order",
            fields=[
                ("id", models.IntegerField(primary_key=True, serialize=False)),
                ("item", models.CharField(max_length=100)),
            ],
            options={"db_table": "orders"},
        ),
    ]
