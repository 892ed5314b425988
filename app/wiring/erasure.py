"""Lists all stores of callers' data, for their erasure."""

from collections.abc import Mapping

from app.adapters.queue.sealed import SealedQueue
from app.services.concurrency.idempotency import IdempotentAnswers
from app.services.erasure.service import Holder, answers_of, files_of, work_of
from app.wiring.stores import Stores


def erasure_holders(stores: Stores, idempotent: IdempotentAnswers) -> Mapping[str, Holder]:
    """Return the eraser of every store of callers' data, by the store's name."""
    # The queue beneath the encryption is erased without being read, as the key may be gone.
    sealed = stores.queue.inner if isinstance(stores.queue, SealedQueue) else stores.queue
    holders = {
        "files": files_of(stores.files.store),
        "work": work_of(sealed),
        "idempotent": idempotent.erase,
    }
    if stores.answers is not None:
        holders["answers"] = answers_of(stores.answers.store)
    return holders
