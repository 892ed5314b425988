"""The ``bedrock`` service: finds a path's operation and answers it."""

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from app.emulator.config import EmulatorConfig
from app.emulator.control import resources
from app.emulator.control.clock import today
from app.emulator.control.foundation_models import FoundationModels
from app.emulator.control.import_jobs import ImportJobs
from app.emulator.control.imported_models import ImportedModels

_Answer = Callable[[], dict[str, Any]]


class ControlPlane:
    """Answers the operations of the control plane, and keeps what they change."""

    def __init__(self, config: EmulatorConfig, now: Callable[[], float] = time.time) -> None:
        self.models = ImportedModels(config, now)
        self._jobs = ImportJobs(config, self.models, now)
        self.foundation = FoundationModels(config, today)
        self._config = config

    def call(self, arn: str) -> None:
        """Count a call of an imported model, or raise the 4xx while it can't answer."""
        self._jobs.settle()
        self.models.call(arn)

    def operation(
        self, method: str, parts: list[str], query: bytes, body: bytes
    ) -> tuple[str, int, _Answer] | None:
        """Return the name, status and answer of a path's operation, or None for another path.

        ``parts`` are the path's, still percent-encoded.
        """
        self._jobs.settle()
        named = [unquote(part) for part in parts]
        match method:
            case "GET":
                answer = self._read(named, query) or self._read_resource(named)
                return answer and (answer[0], 200, answer[1])
            case "POST" if named == ["model-import-jobs"]:
                return "CreateModelImportJob", 201, lambda: self._jobs.create(body)
            case "DELETE" if len(named) == 2 and named[0] == "imported-models":
                return "DeleteImportedModel", 200, lambda: self._delete(named[1])
        return None

    def _read(self, parts: list[str], query: bytes) -> tuple[str, _Answer] | None:
        match parts:
            case ["foundation-models"]:
                return "ListFoundationModels", lambda: self.foundation.models(query)
            case ["foundation-models", name]:
                return "GetFoundationModel", lambda: self.foundation.model(name)
            case ["inference-profiles"]:
                return "ListInferenceProfiles", lambda: self.foundation.profiles(query)
            case ["inference-profiles", name]:
                return "GetInferenceProfile", lambda: self.foundation.profile(name)
            case ["imported-models"]:
                return "ListImportedModels", lambda: self.models.summaries(query)
            case ["imported-models", name]:
                return "GetImportedModel", lambda: self._imported(name)
            case ["model-import-jobs"]:
                return "ListModelImportJobs", lambda: self._jobs.summaries(query)
            case ["model-import-jobs", name]:
                return "GetModelImportJob", lambda: self._jobs.details(name)
        return None

    def _read_resource(self, parts: list[str]) -> tuple[str, _Answer] | None:
        match parts:
            case ["provisioned-model-throughput", name]:
                return "GetProvisionedModelThroughput", lambda: self.foundation.provisioned(name)
            case ["guardrails", name]:
                return "GetGuardrail", lambda: resources.guardrail(self._config, name)
            case ["knowledgebases", name]:
                return "GetKnowledgeBase", lambda: resources.knowledge_base(self._config, name)
        return None

    def _imported(self, name: str) -> dict[str, Any]:
        return self.models.details(self.models.find(name))

    def _delete(self, name: str) -> dict[str, Any]:
        self.models.delete(name)
        return {}
