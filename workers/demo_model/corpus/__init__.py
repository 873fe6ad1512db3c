"""What the demo model learns: chats drawn from families of skills, in English and in Chinese.

A skill gives a `Turn`: a wording with slots and the one right answer. `chats` strings turns together, `wording`
types them as people do, `held_out` decides which of them the model may never see.
"""
