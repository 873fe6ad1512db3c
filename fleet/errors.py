"""Why the control plane refuses. A class says who must act; the text says what to do.

FleetError
├── MalformedRequest        the worker's software: the body is not the message that was expected
├── BodyTooLarge            the worker's software
├── ProtocolUnsupported     the operator: upgrade one side
├── AddressRefused          the operator (another address) or the administrator (WORKER_NETWORKS)
├── NetworksMalformed       the administrator: write 10.0.0.0/8 or 10.0.0.7
├── LabelsMalformed         the administrator: write name=value, separated by commas
├── ActRefused              the administrator: what was asked cannot be done as things are; the text says what can
├── WorkerNotReached        the operator: the worker does not tell what it was asked; the text says why
├── HeartbeatReplayed       nobody, or the administrator if somebody replays what they overheard
│   └── CredentialShared    the operator: two daemons use one credential, the one that was started later is heard
├── ProviderFault           the administrator: its URL, its key, its bill; or nobody, until it is well again
└── CredentialRefused       the operator: no credential that is any good
    ├── JoinTokenRefused    the administrator: issue another
    └── WorkerRevoked       nobody: the administrator has decided
"""

from typing import TYPE_CHECKING

from django.utils.translation import gettext

if TYPE_CHECKING:
    from fleet.models import ProviderFailure


class FleetError(Exception):
    """Something is wrong with what a worker or an administrator asked; the text is shown to whoever asked."""

    status = 400
    code = "fleet_error"


class MalformedRequest(FleetError):
    code = "malformed_request"


class BodyTooLarge(FleetError):
    status, code = 413, "body_too_large"


class ProtocolUnsupported(FleetError):
    status, code = 426, "protocol_unsupported"


class AddressRefused(FleetError):
    code = "address_refused"


class NetworksMalformed(FleetError):
    code = "networks_malformed"

    def __init__(self, text: str) -> None:
        super().__init__(
            gettext("“%(text)s” is not a network. Write 10.0.0.0/8, fd00::/8 or a single address such as 10.0.0.7.")
            % {"text": text}
        )


class LabelsMalformed(FleetError):
    code = "labels_malformed"

    def __init__(self, text: str) -> None:
        super().__init__(
            gettext("“%(text)s” is not a list of labels. Write name=value, separated by commas: gpu=h100, zone=a.")
            % {"text": text}
        )


class ActRefused(FleetError):
    status, code = 409, "act_refused"


class WorkerNotReached(FleetError):
    status, code = 502, "worker_not_reached"


class HeartbeatReplayed(FleetError):
    status, code = 409, "heartbeat_replayed"


class CredentialShared(HeartbeatReplayed):
    code = "credential_shared"


class ProviderFault(FleetError):
    """A provider did not do what it was asked; the text is its own, where it said anything."""

    status, code = 502, "provider_fault"

    def __init__(self, failure: "ProviderFailure", words: str) -> None:
        super().__init__(words)
        self.failure = failure


class CredentialRefused(FleetError):
    status, code = 401, "invalid_credential"


class JoinTokenRefused(CredentialRefused):
    code = "invalid_join_token"


class WorkerRevoked(CredentialRefused):
    code = "worker_revoked"
