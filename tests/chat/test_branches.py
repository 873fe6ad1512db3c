"""A conversation is a tree of messages; one branch is shown."""

from uuid import UUID

from chat.branches import Tree

QUESTION, FIRST, SECOND, FOLLOW_UP, LAST = (UUID(int=number) for number in range(1, 6))
TREE = Tree({QUESTION: None, FIRST: QUESTION, SECOND: QUESTION, FOLLOW_UP: FIRST, LAST: FOLLOW_UP})


def test_the_branch_runs_from_the_first_question_to_the_leaf():
    assert TREE.branch(LAST) == [QUESTION, FIRST, FOLLOW_UP, LAST]


def test_a_conversation_without_messages_has_an_empty_branch():
    assert Tree({}).branch(None) == []


def test_the_other_answers_to_the_same_question_are_its_siblings():
    assert list(TREE.siblings(SECOND)) == [FIRST, SECOND]


def test_going_to_an_older_answer_leads_to_the_end_of_what_followed_it():
    assert TREE.newest_leaf(FIRST) == LAST
