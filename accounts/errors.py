"""What can go wrong with accounts.

AccountError
└── InvitationGone      the visitor must ask for another invitation
"""


class AccountError(Exception):
    pass


class InvitationGone(AccountError):
    """It was used by somebody else, withdrawn, or it expired, while the form was being filled in."""
