"""The chat's pages. Conversations are found through their owner only; to anybody else they do not exist."""

from typing import Any
from uuid import UUID, uuid4

from asgiref.sync import sync_to_async
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from chat import live
from chat.choices import model_choices
from chat.errors import ChatError, NoModelChosen, NothingAsked
from chat.forms import QuestionForm, RenameForm
from chat.frames import MAX_QUESTION
from chat.models import Conversation
from chat.replies import Question, Reply, start_conversation, start_reply
from chat.sidebar import recent_conversations
from chat.thread import PAGE_SIZE, read_thread

MAX_SHOWN = 2000


@login_required
def home(request: HttpRequest) -> HttpResponse:
    """A new conversation."""
    choices = model_choices(_user_id(request))
    ready = [choice.name for choice in choices if choice.is_ready]
    last_used = Conversation.objects.of(_user_id(request)).values_list("model", flat=True).first()
    chosen = last_used if last_used in ready else next(iter(ready), "")
    return _page(request, "chat/home.html", choices=choices, chosen=chosen)


@login_required
def conversation(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    shown = _own(request, conversation_id)
    thread = read_thread(shown, num_shown=_num_shown(request))
    return _page(
        request,
        "chat/conversation.html",
        conversation=shown,
        thread=thread,
        num_more=len(thread.messages) + PAGE_SIZE,
        choices=model_choices(_user_id(request)),
        chosen=shown.model,
    )


@login_required
@require_POST
async def ask(request: HttpRequest, conversation_id: UUID | None = None) -> HttpResponse:
    """A question sent as a form: the first of a conversation, or any from a browser without script.

    Async, because the answer is written by a task of this process's loop.
    """
    form = QuestionForm(request.POST)
    try:
        if not form.is_valid():
            raise NothingAsked if "text" in form.errors else NoModelChosen
        user_id = (await request.auser()).pk
        assert user_id, "behind login_required"
        reply = await sync_to_async(_start)(user_id, conversation_id, form.cleaned_data)
    except ChatError as error:
        messages.error(request, str(error.advice))
        return redirect("chat:conversation", conversation_id) if conversation_id else redirect("chat:home")
    await live.begin(reply)
    return redirect("chat:conversation", reply.conversation_id)


@login_required
def rename(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    renamed = _own(request, conversation_id)
    form = RenameForm(request.POST or None, instance=renamed)
    if request.method == "POST" and form.is_valid():
        Conversation.objects.filter(pk=renamed.pk).update(title=form.cleaned_data["title"])
        return redirect("chat:conversation", conversation_id)
    return _page(request, "chat/rename.html", conversation=renamed, form=form)


@login_required
def delete(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    deleted = _own(request, conversation_id)
    if request.method == "POST":
        # An answer that is still being written finds its row gone within a second, and stops.
        deleted.delete()
        return redirect("chat:home")
    return _page(request, "chat/delete.html", conversation=deleted)


@login_required
def conversations(request: HttpRequest) -> HttpResponse:
    """All of them, in pages."""
    own = Conversation.objects.of(_user_id(request))
    wanted = request.GET.get("q", "").strip()
    found = own.filter(title__icontains=wanted) if wanted else own
    page = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    return _page(request, "chat/conversations.html", page=page, wanted=wanted)


def _start(user_id: int, conversation_id: UUID | None, asked: dict[str, Any]) -> Reply:
    if conversation_id is None:
        return start_conversation(user_id, text=asked["text"], model=asked["model"])
    question = Question(
        user_id=user_id,
        conversation_id=conversation_id,
        message_id=uuid4(),
        parent_id=asked["parent"],
        text=asked["text"],
        model=asked["model"],
    )
    reply = start_reply(question)
    assert reply, "the id is new, so the question cannot be there already"
    return reply


def _page(request: HttpRequest, template: str, **context: Any) -> HttpResponse:
    """A page with the list of conversations beside it."""
    groups = recent_conversations(_user_id(request))
    return render(request, template, {"groups": groups, "max_question": MAX_QUESTION, **context})


def _own(request: HttpRequest, conversation_id: UUID) -> Conversation:
    return get_object_or_404(Conversation.objects.of(_user_id(request)), pk=conversation_id)


def _user_id(request: HttpRequest) -> int:
    assert request.user.pk, "behind login_required"
    return request.user.pk


def _num_shown(request: HttpRequest) -> int:
    wanted = request.GET.get("shown", "")
    return min(int(wanted), MAX_SHOWN) if wanted.isdecimal() and int(wanted) else PAGE_SIZE
