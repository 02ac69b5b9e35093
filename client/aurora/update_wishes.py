"""What people want of the update that a job is in: pause, resume, abort, roll back."""

from __future__ import annotations

from client.api_client import ApiClient, is_missing, job_path
from client.aurora.context import Context
from client.aurora.core.answers import Answer, parse
from client.aurora.core.updates import UpdateKey
from client.aurora.update_follow import ACTIVE, missing_text
from client.job_keys import ClusterJobKey
from thermos.errors import RemoteError, UserError


class Moved(Answer, frozen=True):
    """Which update it was, and its status now."""

    key: UpdateKey
    status: str = ""


def wish(api: ApiClient, job: ClusterJobKey, verb: str, message: str) -> Moved:
    """Raises UserError: the job is in no update; ApiError: it can't be."""
    try:
        return parse(api.post(job_path(job, "updates", ACTIVE, verb), {"message": message}), Moved)
    except RemoteError as error:
        if is_missing(error):
            raise UserError(missing_text(job)) from error
        raise


def wish_verb(context: Context, job: ClusterJobKey, message: str, done: str) -> int:
    """A verb that only tells the scheduler."""
    moved = wish(context.api(job.cluster), job, context.verb, message)
    context.answer({"job": str(job), "id": moved.key.id, "status": moved.status}, [done])
    return 0
