"""Settings; the database is the one that `DATABASE_URL` names."""

import os
from urllib.parse import parse_qsl, unquote, urlsplit

# {setup}

url = urlsplit(os.environ["DATABASE_URL"])
options = dict(parse_qsl(url.query))
# {options}
DATABASES = {
    "default": {
        "ENGINE": "{engine}",
        "HOST": url.hostname,
        "PORT": url.port,
        "USER": unquote(url.username),
        "PASSWORD": unquote(url.password),
        "NAME": url.path.lstrip("/"),
        "OPTIONS": {**options, "pool": {"min_size": 2, "max_size": 4}},
    }
}
INSTALLED_APPS = ["shop"]
ROOT_URLCONF = "shop.urls"
SECRET_KEY = "not used"
ALLOWED_HOSTS = ["*"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
