"""The hub client's errors in our words: what was refused, by whom, and what to do next."""

from __future__ import annotations

from trtnemo.errors import CheckpointError


def hub_error(name: str, error: Exception) -> CheckpointError:
    """Return the hub client's error as ours, by its kind; of one that is not known here, its first line."""
    from huggingface_hub import constants, errors

    hub = constants.ENDPOINT
    if isinstance(error, errors.GatedRepoError):
        return CheckpointError(
            "is gated: the hub gives it to accounts that accepted its terms",
            where=name,
            remedy=f"Accept them on {hub}/{name}, then set HF_TOKEN, or log in with `hf auth login`",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return CheckpointError(
            "the hub has no such revision of it", where=name, remedy="Name a branch, a tag or a commit that is there"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return CheckpointError(
            f"{hub} has no such model, or it is private",
            where=name,
            remedy="Check the name, upper and lower case too; for a private one set HF_TOKEN",
        )
    if not hub.startswith(("http://", "https://")):
        return CheckpointError(f"is {hub!r}, which is no address", where="HF_ENDPOINT", remedy="Begin it with https://")
    if isinstance(error, OSError) and error.filename is not None:  # of the system: a file of the cache
        return CheckpointError(
            f"the hub's cache cannot be used: {error.strerror}",
            where=str(error.filename),
            remedy="Set HF_HOME, or HF_HUB_CACHE, to a directory that can be written",
        )
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    remedy = "Give a local directory, or check the name, the token, the connection and HF_ENDPOINT"
    return CheckpointError(f"cannot be had from {hub}: {reason}", where=name, remedy=remedy)
