from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """A person. Staff run the fleet; everybody else chats and holds keys."""
