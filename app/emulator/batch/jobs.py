"""The account's batch inference jobs: created, described, listed and stopped."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote
from uuid import uuid4

from app.emulator.batch import request
from app.emulator.batch.job import RUNNING, InvocationJob
from app.emulator.batch.run import Run
from app.emulator.config import EmulatorConfig
from app.emulator.control import catalogue, paging
from app.emulator.control.catalogue import Route, on_demand_refused
from app.emulator.control.clock import today
from app.emulator.wire.errors import CONFLICT, NOT_FOUND, RETIRED, AwsError, invalid
from app.emulator.wire.exchange import Request

Answer = Callable[[], dict[str, Any]]
_PATH, _LIST = "model-invocation-job", "model-invocation-jobs"


@dataclass(slots=True)
class InvocationJobs:
    """All jobs, in the order in which they were submitted."""

    config: EmulatorConfig
    run: Run
    now: Callable[[], float] = time.time
    _jobs: dict[str, InvocationJob] = field(default_factory=dict)
    _running: set[asyncio.Task[None]] = field(default_factory=set)

    def operation(self, asked: Request, parts: list[str]) -> tuple[str, Answer] | None:
        """Return the name and the answer of a path's operation, or None for another path."""
        match asked.method, [unquote(part) for part in parts]:
            case "POST", [path] if path == _PATH:
                return "CreateModelInvocationJob", lambda: self._create(asked.body)
            case "GET", [path, name] if path == _PATH:
                return "GetModelInvocationJob", lambda: self._job(name).summary()
            case "POST", [path, name, "stop"] if path == _PATH:
                return "StopModelInvocationJob", lambda: self._stop(name)
            case "GET", [path] if path == _LIST:
                return "ListModelInvocationJobs", lambda: self._summaries(asked.query)
        return None

    def close(self) -> None:
        """Stop the running jobs."""
        for task in self._running:
            task.cancel()

    def _create(self, body: bytes) -> dict[str, Any]:
        fields = request.checked(body)
        token = fields.get("clientRequestToken")
        for job in self._jobs.values():
            if token is not None and job.asked.get("clientRequestToken") == token:
                if job.asked != fields:
                    raise AwsError(
                        CONFLICT, "The clientRequestToken was used before with other parameters."
                    )
                return {"jobArn": job.arn}
        self._check_model(fields["modelId"])
        job = self._made(fields)
        self._jobs[job.arn] = job
        task = asyncio.get_running_loop().create_task(self.run.through(job))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return {"jobArn": job.arn}

    def _check_model(self, model_id: str) -> None:
        target = catalogue.resolve(model_id)
        if target.route is Route.FOUNDATION and not self.config.allow_bare_model_id:
            raise on_demand_refused(target)
        if target.route not in (Route.FOUNDATION, Route.PROFILE):
            raise invalid(f"Batch inference is not supported for a {target.route}.")
        end = self.config.end_of_life.get(target.model.id)
        if end and today() >= end:
            raise AwsError(RETIRED)

    def _made(self, fields: dict[str, Any]) -> InvocationJob:
        region, account, now = self.config.region, self.config.account, self.now()
        arn = f"arn:aws:bedrock:{region}:{account}:model-invocation-job/{uuid4().hex[:12]}"
        hours = fields.get("timeoutDurationInHours", 24)
        return InvocationJob(arn, fields, now, now + hours * 3600, now)

    def _job(self, identifier: str) -> InvocationJob:
        for job in self._jobs.values():
            if identifier in (job.arn, job.id):
                return job
        raise AwsError(NOT_FOUND, f"The job {identifier} was not found.")

    def _stop(self, identifier: str) -> dict[str, Any]:
        job = self._job(identifier)
        if job.status not in RUNNING:
            raise AwsError(CONFLICT, f"The job is {job.status} and can't be stopped.")
        job.become("Stopping", self.now())
        return {}

    def _summaries(self, query: bytes) -> dict[str, Any]:
        wanted = {key: values[0] for key, values in parse_qs(query.decode()).items()}
        # Their times have another name than other lists'.
        for when in ("After", "Before"):
            if f"submitTime{when}" in wanted:
                wanted[f"creationTime{when}"] = wanted.pop(f"submitTime{when}")
        jobs = [
            job for job in self._jobs.values() if wanted.get("statusEquals") in (None, job.status)
        ]
        chosen = paging.selected(
            jobs, wanted, lambda job: job.asked["jobName"], lambda job: job.submitted
        )
        page, token = paging.page(chosen, wanted)
        return {"invocationJobSummaries": [job.summary() for job in page], **token}
