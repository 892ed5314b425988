"""``python -m app models``: lists imported models and import jobs, and deletes models."""

import argparse
import asyncio
import sys

from botocore.exceptions import BotoCoreError, ClientError

from app.adapters.bedrock.model_import import ImportedModel, ImportJob, open_imports, sentence
from app.settings import load


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    actions = parser.add_subparsers(dest="action")
    actions.add_parser("list", help="imported models and import jobs (the default)")
    delete = actions.add_parser("delete", help="delete an imported model")
    delete.add_argument("model", help="its name or ARN")
    delete.add_argument("--yes", action="store_true", help="do not ask for confirmation")


def run(parsed: argparse.Namespace) -> int:
    """Run one of the commands and return its exit status."""
    try:
        return asyncio.run(_delete(parsed) if parsed.action == "delete" else _list())
    except ClientError as error:
        sys.stderr.write(f"{sentence(error)}\n")
    except (BotoCoreError, OSError) as error:
        sys.stderr.write(f"{error}\n")
    return 1


async def _list() -> int:
    settings = load()
    endpoint = str(settings.endpoint_url) if settings.endpoint_url else None
    async with open_imports(settings.region, endpoint) as imports:
        models, jobs = await imports.models(), await imports.jobs()
    sys.stdout.write(f"Imported models in {settings.region}: {len(models) or 'none'}\n")
    sys.stdout.writelines(map(_model, models))
    sys.stdout.write(f"Import jobs: {len(jobs) or 'none'}\n")
    sys.stdout.writelines(map(_job, jobs))
    return 0


async def _delete(parsed: argparse.Namespace) -> int:
    settings = load()
    endpoint = str(settings.endpoint_url) if settings.endpoint_url else None
    async with open_imports(settings.region, endpoint) as imports:
        model = await imports.model(parsed.model)
        if not parsed.yes and not _confirmed(model):
            sys.stdout.write("Nothing was deleted.\n")
            return 1
        await imports.delete(model.arn)
    sys.stdout.write(f"Deleted {model.name}.\n")
    return 0


def _confirmed(model: ImportedModel) -> bool:
    sys.stdout.write(f"Type the name of {model.arn} to delete it: ")
    sys.stdout.flush()
    return sys.stdin.readline().strip() == model.name


def _model(model: ImportedModel) -> str:
    units = "unknown" if model.units_per_copy is None else str(model.units_per_copy)
    version = f" (version {model.units_version})" if model.units_version else ""
    return (
        f"  {model.name}  {model.architecture or 'architecture unknown'}  {units} Custom Model "
        f"Units a copy{version}  {model.arn}\n"
    )


def _job(job: ImportJob) -> str:
    created = job.created.isoformat(timespec="minutes") if job.created else ""
    return f"  {job.name}  {job.status}  {created}  {job.arn}\n"
