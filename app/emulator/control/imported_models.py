"""The account's imported models, as the control plane and the admin endpoint show them."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from app.emulator.config import EmulatorConfig
from app.emulator.control import paging
from app.emulator.control.imported_model import ImportedModel, instant
from app.emulator.wire.errors import CONFLICT, NOT_FOUND, NOT_READY, AwsError

ARCHITECTURE = "MllamaForConditionalGeneration"
_ARN = re.compile(
    r"(?P<prefix>arn:aws(?:-[a-z-]+)?:bedrock:[a-z0-9-]{1,20}:\d{12}:imported-model/)(?P<id>[A-Za-z0-9-]+)"
    r"(?:\..*)?"
)
# Made-up models are forgotten beyond so many: the oldest first.
_REMEMBERED = 10_000


class ImportedModels:
    """The account's imported models."""

    def __init__(self, config: EmulatorConfig, now: Callable[[], float]) -> None:
        self._config = config
        self._now = now
        self._models: dict[str, ImportedModel] = {}
        self._deleted: set[str] = set()
        for identifier, name in config.imported_models.items():
            self.add(ImportedModel(self.arn(identifier), name, now(), config.cold_start_seconds))

    def arn(self, identifier: str) -> str:
        """Return the ARN of a model of this account."""
        region, account = self._config.region, self._config.account
        return f"arn:aws:bedrock:{region}:{account}:imported-model/{identifier}"

    def add(self, model: ImportedModel) -> None:
        """Add a model."""
        self._models[model.arn] = model
        if len(self._models) > _REMEMBERED:
            del self._models[next(iter(self._models))]

    def named(self, name: str) -> ImportedModel | None:
        """Return the model of a name."""
        return next((model for model in self._models.values() if model.name == name), None)

    def all(self) -> list[ImportedModel]:
        """Return all models, oldest first."""
        return list(self._models.values())

    def find(self, identifier: str) -> ImportedModel:
        """Return the model of an ARN, an id or a name, or raise a 404.

        Faults behind an ARN are passed over. Unless the configuration wants otherwise, an ARN
        that nobody imported is taken for a model as soon as it is named, so that a test
        can make one up.
        """
        match = _ARN.fullmatch(identifier)
        arn = f"{match['prefix']}{match['id']}" if match else self.arn(identifier)
        model = self._models.get(arn) or self.named(identifier)
        if model is not None:
            return model
        if match is None or arn in self._deleted or self._config.listed_imports_only:
            raise AwsError(NOT_FOUND, f"The imported model {identifier} was not found.")
        made = ImportedModel(
            arn, f"model-{match['id']}", self._now(), self._config.cold_start_seconds
        )
        self.add(made)
        return made

    def delete(self, identifier: str) -> None:
        """Delete a model, or raise a 404."""
        model = self.find(identifier)
        del self._models[model.arn]
        self._deleted.add(model.arn)

    def call(self, arn: str) -> None:
        """Count a call of a model, or raise the 429 while no copy of it is loaded."""
        model, now, idle = self.find(arn), self._now(), self._config.idle_seconds
        if model.serves(now, idle):
            model.spans[-1].last_call = now
            return
        if model.loaded_at is None or now >= model.loaded_at + idle:
            # The copy that was loaded meanwhile was never asked, and is gone again.
            model.loaded_at = now + model.cold_start_seconds
            model.cold_starts += 1
        if now < model.loaded_at:
            raise AwsError(NOT_READY)
        model.loaded_at = None
        model.begin(now)

    def set_state(self, identifier: str, cold_start_seconds: float | None, state: str) -> None:
        """Change how long a model loads, and unload (``cold``) or load its copy."""
        model, now = self.find(identifier), self._now()
        if cold_start_seconds is not None:
            model.cold_start_seconds = cold_start_seconds
        if state == "cold":
            model.loaded_at = None
            if model.serves(now, self._config.idle_seconds):
                model.spans[-1].last_call = now - self._config.idle_seconds
        elif state == "ready" and not model.copies(now, self._config.idle_seconds):
            model.loaded_at = now

    def status(self, model: ImportedModel) -> dict[str, Any]:
        """Return a model's copy as the admin endpoint shows it."""
        now, idle = self._now(), self._config.idle_seconds
        copies = model.copies(now, idle)
        wait = 0.0 if copies or model.loaded_at is None else max(model.loaded_at - now, 0.0)
        return {
            "arn": model.arn,
            "name": model.name,
            "state": "ready" if copies else ("loading" if wait else "cold"),
            "seconds_to_ready": wait,
            "cold_start_seconds": model.cold_start_seconds,
            "cold_starts": model.cold_starts,
            "copies": copies,
            "units_per_copy": self._config.custom_model_units,
            "windows": model.windows(now, idle),
        }

    def copy_count(self, model: ImportedModel, minutes: int = 60) -> dict[str, Any]:
        """Return the loaded copies minute by minute, in the shape of GetMetricStatistics."""
        now, idle = self._now(), self._config.idle_seconds
        last = int(now // 60) * 60
        points = []
        for begin in range(last - (minutes - 1) * 60, last + 60, 60):
            # The end of an open minute is now.
            end = min(begin + 60, now)
            loaded = any(s.begin <= end and begin < s.last_call + idle for s in model.spans)
            points.append(
                {
                    "Timestamp": instant(begin),
                    "Average": float(loaded),
                    "Maximum": float(loaded),
                    "SampleCount": 1.0,
                    "Unit": "Count",
                }
            )
        return {"Label": "ModelCopy", "Datapoints": points}

    def details(self, model: ImportedModel) -> dict[str, Any]:
        """Return GetImportedModel."""
        known = {
            "modelArn": model.arn,
            "modelName": model.name,
            "jobName": model.job_name,
            "jobArn": model.job_arn,
            "modelDataSource": {"s3DataSource": {"s3Uri": model.source}} if model.source else None,
            "creationTime": instant(model.created),
            "modelArchitecture": ARCHITECTURE,
            "modelKmsKeyArn": model.kms_key_arn,
            "instructSupported": True,
            "customModelUnits": {
                "customModelUnitsPerModelCopy": self._config.custom_model_units,
                "customModelUnitsVersion": "v1.0",
            },
        }
        return {key: value for key, value in known.items() if value is not None}

    def summaries(self, query: bytes) -> dict[str, Any]:
        """Return ListImportedModels: filtered, sorted and paged as asked."""
        wanted = {key: values[0] for key, values in parse_qs(query.decode()).items()}
        chosen = paging.selected(self.all(), wanted, lambda m: m.name, lambda m: m.created)
        page, token = paging.page(chosen, wanted)
        return {
            "modelSummaries": [
                {
                    "modelArn": model.arn,
                    "modelName": model.name,
                    "creationTime": instant(model.created),
                    "instructSupported": True,
                    "modelArchitecture": ARCHITECTURE,
                }
                for model in page
            ],
            **token,
        }

    def check_free(self, name: str) -> None:
        """Raise a 400 for a name that a model has."""
        if self.named(name) is not None:
            raise AwsError(CONFLICT, f"The imported model name {name} is already in use.")
