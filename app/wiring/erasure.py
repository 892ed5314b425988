"""Names every store that keeps something about callers, for their erasure."""

from collections.abc import Mapping

from app.adapters.queue.sealed import SealedQueue
from app.domain.ports import WorkQueue
from app.services.cache.answers import KeptAnswers
from app.services.concurrency.idempotency import IdempotentAnswers
from app.services.erasure.service import Holder, answers_of, files_of, work_of
from app.services.files.service import FileService


def erasure_holders(
    files: FileService,
    answers: KeptAnswers | None,
    queue: WorkQueue,
    idempotent: IdempotentAnswers,
) -> Mapping[str, Holder]:
    """Return what deletes in each store. Whatever keeps callers' data has a line here."""
    # What is within is forgotten without being read, as its key may be gone.
    sealed = queue.inner if isinstance(queue, SealedQueue) else queue
    holders = {
        "files": files_of(files.store),
        "work": work_of(sealed),
        "idempotent": idempotent.erase,
    }
    if answers is not None:
        holders["answers"] = answers_of(answers.store)
    return holders
