# /// script
# requires-python = ">=3.11"
# dependencies = ["instructor==1.17.0", "pytest==9.1.1"]
# ///
"""instructor: a model's answer as an object, by a tool that it has to call."""

import instructor
import openai
from pydantic import BaseModel
from suite import API_KEY, BASE_URL, MODEL, run


class Address(BaseModel):
    city: str
    country: str | None


def test_an_answer_is_an_object():
    with openai.OpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0) as plain:
        client = instructor.from_openai(plain, mode=instructor.Mode.TOOLS)
        answer = client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "Ada lives in London."}],
            response_model=Address,
            max_retries=0,
            temperature=0,
        )
    assert isinstance(answer, Address)


if __name__ == "__main__":
    raise SystemExit(run(__file__))
