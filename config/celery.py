"""The Celery application of the task processes; each app's `tasks.py` is found by itself."""

import os
from pathlib import Path

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("flotilla")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

# kombu's file-system transport expects its folder to be there.
for folder in set(app.conf.broker_transport_options.values()):
    Path(folder).mkdir(parents=True, exist_ok=True)
