"""Settings; the database is the one that `DATABASE_URL` names."""

from django_examples.settings import DATABASES

DATABASES = {"default": DATABASES["default"]}
INSTALLED_APPS = ["shop"]
ROOT_URLCONF = "shop.urls"
SECRET_KEY = "not used"
ALLOWED_HOSTS = ["*"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
