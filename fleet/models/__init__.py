"""What should run (LanguageModel, Deployment), what does run (Worker, Replica) and did (Transition), and who may join
(JoinToken)."""

from fleet.models.deployment import Deployment, EngineName, Pin
from fleet.models.join_token import JoinToken, JoinTokenQuerySet
from fleet.models.language_model import BalancingPolicy, LanguageModel
from fleet.models.replica import Replica, ReplicaQuerySet
from fleet.models.transition import Cause, Transition, TransitionQuerySet
from fleet.models.worker import ProbeFailure, Worker, WorkerQuerySet, WorkerState

__all__ = [
    "BalancingPolicy",
    "Cause",
    "Deployment",
    "EngineName",
    "JoinToken",
    "JoinTokenQuerySet",
    "LanguageModel",
    "Pin",
    "ProbeFailure",
    "Replica",
    "ReplicaQuerySet",
    "Transition",
    "TransitionQuerySet",
    "Worker",
    "WorkerQuerySet",
    "WorkerState",
]
