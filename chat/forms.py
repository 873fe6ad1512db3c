"""The chat's plain forms: they work without a script, too."""

from django import forms

from chat.frames import MAX_QUESTION
from chat.models import Conversation


class QuestionForm(forms.Form):
    """A question, and for a conversation that has begun the answer it continues from."""

    text = forms.CharField(max_length=MAX_QUESTION)
    model = forms.CharField(max_length=100)
    parent = forms.UUIDField(required=False)

    def clean_text(self) -> str:
        """Forms carry CRLF, sockets and models LF."""
        return self.cleaned_data["text"].replace("\r\n", "\n")


class RenameForm(forms.ModelForm):
    class Meta:
        model = Conversation
        fields = ("title",)
