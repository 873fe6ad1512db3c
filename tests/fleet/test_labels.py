"""Labels as people write them."""

import pytest

from fleet.errors import LabelsMalformed
from fleet.labels import format_labels, lacking, parse_labels


def test_labels_are_read_from_commas_and_lines():
    assert parse_labels("gpu=h100, zone=eu-1\nrack=7,") == {"gpu": "h100", "zone": "eu-1", "rack": "7"}


def test_what_is_written_is_read_again():
    assert parse_labels(format_labels({"zone": "a", "gpu": "h100"})) == {"gpu": "h100", "zone": "a"}


@pytest.mark.parametrize("text", ["gpu", "gpu:h100", "=h100", "gpu=h 100", "gpu=a=b", "-x=1", "gpu=1, gpu=2", "é=1"])
def test_a_mistake_is_named_with_the_remedy(text):
    with pytest.raises(LabelsMalformed, match="Write name=value"):
        parse_labels(text)


def test_more_labels_than_anybody_needs_are_refused():
    with pytest.raises(LabelsMalformed):
        parse_labels(",".join(f"label{number}=1" for number in range(33)))


def test_what_a_worker_lacks_is_what_differs_or_is_not_there():
    assert lacking({"gpu": "h100", "zone": "a", "disk": "ssd"}, {"gpu": "a100", "zone": "a"}) == {
        "gpu": "h100",
        "disk": "ssd",
    }
