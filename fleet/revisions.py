"""Which version of each deployment is wanted: begun when it is changed, put back when the new one fails.

The deployment's own fields are the wish. A rollout is begun where they differ from the rollout that is current, whoever
changed them and by whichever door, so that none can be forgotten.
"""

import logging
from collections.abc import Iterable

from fleet.models import Deployment, RollbackCause, Rollout, RolloutPhase

logger = logging.getLogger(__name__)


def follow(deployments: Iterable[Deployment]) -> dict[int, Rollout]:
    """The rollout that is running for each of these deployments, by its id; begun now where one was changed.

    To be called in a transaction that holds the deployments locked.
    """
    running: dict[int, Rollout] = {}
    in_force: dict[int, Rollout] = {}
    for rollout in Rollout.objects.current():
        (running if rollout.is_running else in_force)[rollout.deployment_id] = rollout
    for deployment in deployments:
        number = deployment.pk
        followed = _followed(deployment, running.pop(number, None), in_force.get(number))
        if followed:
            running[number] = followed
    return running


def roll_back(deployment: Deployment, rollout: Rollout, cause: RollbackCause, detail: str) -> bool:
    """Want again what was in force before; False if there is nothing to go back to, or somebody was faster."""
    if rollout.previous_spec is None or not rollout.leave(RolloutPhase.ROLLED_BACK, cause=cause, detail=detail):
        return False
    logger.warning("Rollout %s is rolled back: %s. %s", rollout, cause.label, detail)
    deployment.restore(rollout.previous_spec)
    return True


def complete(rollout: Rollout) -> bool:
    """The new version has proven itself and is in force."""
    Rollout.objects.filter(deployment_id=rollout.deployment_id, phase=RolloutPhase.IN_FORCE).update(
        phase=RolloutPhase.PAST
    )
    return rollout.leave(RolloutPhase.IN_FORCE)


def _followed(deployment: Deployment, running: Rollout | None, in_force: Rollout | None) -> Rollout | None:
    if running and running.spec == deployment.spec:
        return running
    if running:
        running.leave(RolloutPhase.SUPERSEDED)
    if in_force and in_force.spec == deployment.spec:
        return None
    rollout = Rollout.objects.begin(deployment, in_force)
    logger.info("Rollout %s has begun.", rollout)
    return rollout
