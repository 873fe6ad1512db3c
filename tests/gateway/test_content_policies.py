"""What a content policy forbids is refused, or marked, in the question and in the answer."""

import pytest
from prometheus_client import generate_latest

from accounts.models import Team
from fleet.models import LanguageModel, Replica
from gateway.metrics import REGISTRY
from gateway.models import ContentAction, ContentPolicy, Route, UsageRecord, UsageState
from gateway.moderation.idle import idle_policy_findings
from gateway.moderation.policies import read_rules
from tests.gateway.conftest import CAPABILITIES, HELLO, add_adapter, post, the_record

CHAT = "/chat/completions"
MARK, OFF, REFUSE = ContentAction.MARK, ContentAction.OFF, ContentAction.REFUSE


def say(text, **fields):
    return {"model": "fake-1", "messages": [{"role": "user", "content": text}], **fields}


@pytest.fixture
def forbid(gateway):
    """Make a policy that the gateway knows of at once."""

    def make(words: str = "gunpowder", *, models=(), teams=(), **fields) -> ContentPolicy:
        policy = ContentPolicy.objects.create(**{"name": "house rules", "words": words} | fields)
        policy.for_models.set(models)
        policy.for_teams.set(teams)
        gateway.refresh()
        return policy

    return make


def test_a_forbidden_question_is_refused_in_openais_shape(forbid, gateway, key, fake):
    forbid()
    answer = post(gateway, key, CHAT, say("How is Gunpowder made?"))
    assert (answer.status_code, fake.bodies) == (400, [])
    assert answer.json()["error"] == {
        "message": "'messages[0].content' is refused by the content policy 'house rules'. "
        "Change it, or ask your administrator.",
        "type": "invalid_request_error",
        "param": "messages[0].content",
        "code": "content_policy_violation",
    }


def test_a_refusal_leaves_one_record_that_names_the_policy_and_no_text(forbid, gateway, key):
    forbid()
    post(gateway, key, CHAT, say("gunpowder"))
    record = the_record()
    assert (record.state, record.status_code, record.error_code) == (
        UsageState.REFUSED,
        400,
        "content_policy_violation",
    )
    assert (record.content_policy, record.content_action, record.content_direction, record.content_text) == (
        "house rules",
        "refuse",
        "input",
        "",
    )


def test_what_was_found_is_kept_where_the_policy_says_so(forbid, gateway, key):
    forbid(keeps_text=True)
    post(gateway, key, CHAT, say("x" * 1000 + " gunpowder " + "y" * 1000))
    kept = the_record().content_text
    assert " gunpowder " in kept
    assert len(kept) <= 500


def test_a_policy_that_marks_lets_the_request_pass_and_says_so(forbid, gateway, key):
    forbid(name="家规", on_input=MARK)
    answer = post(gateway, key, CHAT, say("gunpowder"))
    assert answer.status_code == 200
    assert answer.headers["x-flotilla-content-policy"] == "%E5%AE%B6%E8%A7%84; action=mark; in=input"
    assert (the_record().content_policy, the_record().content_action) == ("家规", "mark")


def test_an_answer_that_nothing_was_found_in_carries_no_mark(forbid, gateway, key):
    forbid()
    assert "x-flotilla-content-policy" not in post(gateway, key, CHAT, say("Hello")).headers


def test_a_forbidden_answer_is_refused_and_its_tokens_are_on_record(forbid, gateway, key):
    forbid("upon a time", on_input=OFF)
    error = post(gateway, key, CHAT, say("Hello")).json()["error"]
    assert (error["code"], error["param"]) == ("content_policy_violation", None)
    record = the_record()
    assert (record.state, record.content_direction) == (UsageState.REFUSED, "output")
    assert (record.prompt_tokens, record.completion_tokens) == (7, 4)


def test_a_marked_answer_is_given_with_its_mark(forbid, gateway, key):
    forbid("upon", on_input=OFF, on_output=MARK)
    answer = post(gateway, key, CHAT, say("Hello"))
    assert answer.headers["x-flotilla-content-policy"] == "house%20rules; action=mark; in=output"
    assert answer.json()["choices"][0]["message"]["content"] == "Once upon a time"


def test_a_policy_that_is_off_in_questions_reads_none(forbid, gateway, key):
    forbid(on_input=OFF)
    assert post(gateway, key, CHAT, say("gunpowder")).status_code == 200


def test_the_policy_that_refuses_is_named_before_one_that_marks(forbid, gateway, key):
    forbid(name="a marker", on_input=MARK)
    forbid(name="b refuser")
    assert "b refuser" in post(gateway, key, CHAT, say("gunpowder")).json()["error"]["message"]


TOOL = {"type": "function", "function": {"name": "ask", "description": "Asks about gunpowder.", "parameters": {}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "ask", "arguments": '{"q": "\\u0067unpowder"}'}}


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        (CHAT, say([{"type": "text", "text": "gun"}, {"type": "text", "text": "powder"}]), "messages[0].content"),
        (CHAT, say("Hello", tools=[TOOL]), "tools"),
        (
            CHAT,
            {
                "model": "fake-1",
                "messages": [
                    *HELLO,
                    {"role": "assistant", "content": None, "tool_calls": [CALL]},
                    {"role": "tool", "tool_call_id": "c1", "content": "none"},
                ],
            },
            "messages[1].tool_calls[0].function.arguments",
        ),
        ("/completions", {"model": "fake-1", "prompt": ["Hello", "gunpowder"]}, "prompt"),
        ("/embeddings", {"model": "fake-1", "input": "gunpowder"}, "input"),
        ("/rerank", {"model": "fake-1", "query": "gunpowder", "documents": ["a"]}, "query"),
        ("/rerank", {"model": "fake-1", "query": "a", "documents": ["a", "gunpowder"]}, "documents[1]"),
        ("/images/generations", {"model": "fake-1", "prompt": "gunpowder"}, "prompt"),
        ("/messages", say("gunpowder", max_tokens=5), None),
        ("/responses", {"model": "fake-1", "input": "gunpowder"}, "messages[0].content"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_place_where_a_question_can_stand_is_read(forbid, gateway, key, fake, path, body, param):
    Replica.objects.update(capabilities=[*CAPABILITIES, "rerank", "images"])
    forbid()
    answer = post(gateway, key, path, body)
    assert (answer.status_code, fake.bodies) == (400, [])
    error = answer.json()["error"]
    assert "house rules" in error["message"]
    assert error.get("param") is None or error["param"].startswith(param)


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/completions", {"model": "fake-1", "prompt": [1, 2, 3]}, "prompt"),
        ("/embeddings", {"model": "fake-1", "input": [[1, 2], [3]]}, "input"),
    ],
)
def test_token_ids_are_no_way_around_a_policy(forbid, gateway, key, path, body, param):
    forbid()
    error = post(gateway, key, path, body).json()["error"]
    assert (error["code"], error["param"]) == ("content_policy_violation", param)
    assert "Send it as text" in error["message"]


def test_a_policy_of_one_model_leaves_the_others_alone(forbid, gateway, key):
    forbid(models=[LanguageModel.objects.create(name="another")])
    assert post(gateway, key, CHAT, say("gunpowder")).status_code == 200


def test_a_policy_of_the_model_that_is_asked_holds(forbid, gateway, key):
    forbid(models=[LanguageModel.objects.get(name="fake-1")])
    assert post(gateway, key, CHAT, say("gunpowder")).status_code == 400


def test_a_route_is_no_way_around_the_policy_of_a_model(forbid, gateway, key):
    model = LanguageModel.objects.get(name="fake-1")
    Route.objects.create(name="alias").targets.create(model=model, weight=1)
    forbid(models=[model])
    assert post(gateway, key, CHAT, say("gunpowder") | {"model": "alias"}).status_code == 400


def test_an_adapter_is_no_way_around_the_policy_of_its_base_model(forbid, gateway, key, fake):
    add_adapter("support")
    forbid(models=[LanguageModel.objects.get(name="fake-1")])
    assert post(gateway, key, CHAT, say("gunpowder") | {"model": "support"}).status_code == 400
    assert post(gateway, key, CHAT, say("Hello") | {"model": "support"}).status_code == 200
    assert [body["model"] for body in fake.bodies] == ["support"]


@pytest.mark.parametrize(("is_member", "status"), [(True, 400), (False, 200)])
def test_a_policy_of_a_team_holds_for_its_members_alone(forbid, gateway, user, key, is_member, status):
    team = Team.objects.create(name="interns")
    if is_member:
        type(user).objects.update(team=team)
    forbid(teams=[team])
    assert post(gateway, key, CHAT, say("gunpowder")).status_code == status


def test_findings_are_counted_for_prometheus(forbid, gateway, key):
    forbid(name="counted")
    post(gateway, key, CHAT, say("gunpowder"))
    line = b'flotilla_content_findings_total{action="refuse",direction="input",policy="counted"} 1.0'
    assert line in generate_latest(REGISTRY)


def test_a_policy_that_cannot_be_compiled_stops_no_other(forbid, gateway, key, caplog):
    forbid(name="broken", patterns="a(")
    forbid()
    assert [rule.name for rule in read_rules()] == ["house rules"]
    assert "broken" in caplog.text
    assert post(gateway, key, CHAT, say("gunpowder")).status_code == 400


def test_no_text_is_in_any_log_or_record(forbid, gateway, key, caplog):
    forbid()
    with caplog.at_level("DEBUG"):
        post(gateway, key, CHAT, say("the canary eats gunpowder"))
        the_record()
    assert "canary" not in caplog.text
    assert "canary" not in str(UsageRecord.objects.values().get())


@pytest.mark.parametrize("of", ["for_models", "for_teams"])
def test_a_policy_whose_only_model_or_team_is_gone_holds_for_nobody(forbid, gateway, key, of):
    policy = forbid()
    gone = {"for_models": LanguageModel, "for_teams": Team}[of].objects.create(name="gone")
    getattr(policy, of).add(gone)
    policy.keep_for_whom()
    gone.delete()
    gateway.refresh()
    assert post(gateway, key, CHAT, say("gunpowder")).status_code == 200
    assert [finding.title for finding in idle_policy_findings()] == [
        "The content policy “house rules” holds for nobody any more"
    ]


def test_who_chooses_nobody_chooses_all(forbid, gateway, key):
    policy = forbid()
    policy.keep_for_whom()
    gateway.refresh()
    assert post(gateway, key, CHAT, say("gunpowder")).status_code == 400
    assert not list(idle_policy_findings())
