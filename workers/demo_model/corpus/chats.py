"""Whole chats: turns strung together, with system prompts, changes of language and tools."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from workers.demo_model.corpus import facts, json_answers, numbers, recall, talk, tools
from workers.demo_model.corpus.conversation import Conversation, Skill
from workers.demo_model.corpus.held_out import reason_held_out
from workers.demo_model.corpus.refusals import refusing
from workers.demo_model.corpus.turns import Turn, table
from workers.demo_model.corpus.wording import as_typed

Message = dict[str, Any]

SKILLS: dict[Skill, float] = {
    talk.talk("small_talk"): 12,
    talk.talk("identity"): 10,
    talk.talk("platform"): 11,
    facts.fact: 18,
    numbers.sums: 12,
    numbers.counting: 6.5,
    numbers.neighbours: 1.2,
    numbers.larger: 1.5,
    recall.telling: 9,
    recall.recalling: 1.2,
    recall.repeating: 8,
    json_answers.json_answer: 5,
    refusing: 17,
}
NUM_TURNS = ((1, 2, 3, 4, 5, 6), (46, 26, 14, 8, 4, 2))
TOOLS_SHARE = 0.14
JSON_PROMPT_SHARE = 0.035
COPYING: tuple[tuple[Skill, ...], ...] = (
    (recall.telling,),
    (recall.repeating,),
    (recall.telling, recall.recalling),
)


@dataclass(slots=True)
class Chat:
    """Messages in OpenAI's shape, the tools offered, and the turns behind the messages."""

    messages: list[Message] = field(default_factory=list)
    tools: list[dict[str, Any]] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)

    def say(self, role: str, content: str) -> None:
        """Adds a message."""
        self.messages.append({"role": role, "content": content})

    def held_out(self) -> list[tuple[Turn, str]]:
        """The turns that training may not see, each with the reason."""
        return [(turn, reason) for turn in self.turns if (reason := reason_held_out(turn))]

    def as_exam(self) -> "Chat":
        """The chat as far as its last held-out turn: what comes after asks for nothing new."""
        num_turns = max(index for index, turn in enumerate(self.turns, start=1) if reason_held_out(turn))
        asked = [place for place, message in enumerate(self.messages) if message["role"] == "user"] + [
            len(self.messages)
        ]
        return Chat(self.messages[: asked[num_turns]], self.tools, self.turns[:num_turns])


Draw = Callable[[random.Random], Chat]


def lessons(seed: int) -> Iterator[Chat]:
    """The endless stream of chats to learn from; none holds a turn that is held out."""
    return _taught(compose, random.Random(f"lessons {seed}"))


def copying_lessons(seed: int) -> Iterator[Chat]:
    """The endless stream of the simplest chats: say it after me, and what did I tell you?"""
    return _taught(_copying, random.Random(f"copying {seed}"))


def _taught(draw: Draw, rng: random.Random) -> Iterator[Chat]:
    return (chat for chat in _chats(draw, rng) if not chat.held_out())


def exams(seed: int) -> Iterator[Chat]:
    """The endless stream of chats that hold at least one turn that training never sees.

    Long chats hold one more often; drawing them more seldom keeps the exam's chats as long as people's are.
    """
    rng = random.Random(f"exams {seed}")
    return (chat.as_exam() for chat in _chats(compose, rng) if chat.held_out() and rng.random() < 1 / len(chat.turns))


def _chats(draw: Draw, rng: random.Random) -> Iterator[Chat]:
    while True:
        yield draw(rng)


def _copying(rng: random.Random) -> Chat:
    conversation, chat = Conversation(rng=rng, language=rng.choice(("en", "en", "zh"))), Chat()
    for skill in rng.choice(COPYING):
        _add(chat, conversation, skill(conversation))
    return chat


def compose(rng: random.Random) -> Chat:
    """One chat, held out or not."""
    # English has more to learn: its letters have cases, and people mistype them.
    conversation = Conversation(rng=rng, language=rng.choice(("en", "en", "zh")))
    chat = Chat()
    if rng.random() < JSON_PROMPT_SHARE:
        return _json_chat(chat, conversation)
    _prompt(chat, rng)
    if rng.random() < TOOLS_SHARE:
        return _tools_chat(chat, conversation)
    for _ in range(rng.choices(*NUM_TURNS)[0]):
        _take_turn(chat, conversation)
    return chat


def _prompt(chat: Chat, rng: random.Random) -> None:
    if rng.random() < 0.28:
        chat.say(rng.choices(("system", "developer"), (8, 1))[0], rng.choice(table("system_prompts")))


def _json_chat(chat: Chat, conversation: Conversation) -> Chat:
    rng = conversation.rng
    prompt = rng.choice(json_answers.SYSTEM_PROMPTS[rng.choice(("en", "zh"))])
    chat.say("system", prompt if rng.random() < 0.7 else rng.choice(table("system_prompts")) + " " + prompt)
    for _ in range(rng.choice((1, 1, 2, 3))):
        _add(chat, conversation, json_answers.under_json_prompt(conversation))
    return chat


def _tools_chat(chat: Chat, conversation: Conversation) -> Chat:
    rng = conversation.rng
    offers = tools.draw_offers(rng)
    chat.tools = [offer.schema for offer in offers]
    callable_offers = [offer for offer in offers if offer.family]
    for _ in range(rng.choices((1, 2, 3, 4), (6, 4, 2, 1))[0]):
        if callable_offers and rng.random() < 0.66:
            _use_tool(chat, conversation, rng.choice(callable_offers))
        else:
            _take_turn(chat, conversation, offers)
    return chat


def _use_tool(chat: Chat, conversation: Conversation, offer: tools.Offer) -> None:
    rng = conversation.rng
    turn = tools.tool_exchange(conversation, offer)
    typed = as_typed(turn, rng)
    place = typed.slots["x"]
    chat.turns.append(turn)
    chat.say("user", typed.user)
    chat.messages.append(
        {
            "role": "assistant",
            "content": rng.choice(("", None)),
            "tool_calls": [_tool_call(tools.call(offer, place), rng)],
        }
    )
    conversation.continues = turn.continues
    if rng.random() < 0.85:
        result, conversation.last_answer = tools.result_of(offer, place, conversation)
        chat.say("tool", result)
        chat.say("assistant", conversation.last_answer)


def _tool_call(made: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    arguments = made["arguments"]
    written = json.dumps(arguments, ensure_ascii=False) if rng.random() < 0.5 else arguments
    return {"type": "function", "function": {"name": made["name"], "arguments": written}}


def _take_turn(chat: Chat, conversation: Conversation, offers: list[tools.Offer] | None = None) -> None:
    rng = conversation.rng
    if rng.random() < 0.04:
        conversation.language = "zh" if conversation.language == "en" else "en"
        conversation.continues = ""
    turn = _draw(conversation)
    while offers and tools.would_call(turn, offers):
        turn = _draw(conversation)
    _add(chat, conversation, turn)


def _draw(conversation: Conversation) -> Turn:
    rng = conversation.rng
    if rng.random() < 0.3 and (follow_up := _follow_up(conversation)):
        return follow_up(conversation)
    if conversation.memory and rng.random() < 0.25:
        return recall.recalling(conversation)
    if conversation.last_answer and rng.random() < 0.015:
        return talk.say_again(conversation)
    return rng.choices(list(SKILLS), list(SKILLS.values()))[0](conversation)


def _follow_up(conversation: Conversation) -> Skill | None:
    """What a short "And ...?" would continue, if anything."""
    topic = conversation.continues
    if topic in facts.KINDS:
        return facts.next_fact
    if topic.startswith("sum "):
        return numbers.another_sum
    return {"count": numbers.count_on, "joke": talk.another_joke}.get(topic)


def _add(chat: Chat, conversation: Conversation, turn: Turn) -> None:
    typed = as_typed(turn, conversation.rng)
    chat.turns.append(turn)
    chat.say("user", typed.user)
    chat.say("assistant", typed.assistant)
    conversation.memory |= {key: typed.slots[slot] for key, slot in turn.remembers.items()}
    conversation.continues = turn.continues
    conversation.last_answer = typed.assistant
