"""What a person in the chat may run into. Raised by acts, translated once at each door.

ChatError
├── NoSuchConversation   not there, or not theirs: the two are not told apart
├── UnknownMessage       the page is out of date
├── AnswerRunning        wait for the answer, or stop it
├── NothingAsked         the question is empty
├── NoModelChosen        nothing is deployed, or the page was left open while the model went
└── TooManyFrames        the tab asks faster than a person can
"""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class ChatError(Exception):
    """`advice` says what happened and what to do, in the reader's language."""

    code = "chat_error"
    advice: str | Promise = ""


class NoSuchConversation(ChatError):
    code = "no_such_conversation"
    advice = _("This conversation does not exist any more. Start a new one.")


class UnknownMessage(ChatError):
    code = "unknown_message"
    advice = _("This page is out of date. Reload it and try again.")


class AnswerRunning(ChatError):
    code = "answer_running"
    advice = _("An answer is still being written in this conversation. Wait for it, or stop it first.")


class NothingAsked(ChatError):
    code = "nothing_asked"
    advice = _("Write a question first.")


class NoModelChosen(ChatError):
    code = "no_model"
    advice = _("Choose a model first. If there is none to choose, ask an administrator to deploy one.")


class TooManyFrames(ChatError):
    code = "too_fast"
    advice = _("That was a lot at once. Wait a few seconds and try again.")
