"""``python -m app import``: imports weights from a bucket as a model that can be served."""

import argparse
import asyncio
import re
import sys
import time
from pathlib import PurePosixPath

from botocore.exceptions import BotoCoreError, ClientError

from app.adapters.bedrock.model_import import (
    BucketFiles,
    ImportJob,
    ImportRequest,
    ModelImports,
    open_imports,
    sentence,
)
from app.cli import findings
from app.domain.finding import Finding, Level, fault, ok, warning, worst
from app.domain.model import LLAMA_3_2_11B
from app.services.model_import import files
from app.services.model_import.files import DOCUMENTS, REGIONS, ModelFiles
from app.settings import PREFIX, load

_S3 = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(?P<prefix>[^?#]*)")
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/.+")
_NAME = re.compile(r"([0-9a-zA-Z][_-]?){1,63}")
LICENCE = warning(
    "licence",
    "Meta withholds the licence of the multimodal Llama 3.2 models from companies whose principal "
    "place of business is in the European Union",
    "Read Meta's Llama 3.2 acceptable use policy before you import.",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("source", help="where the files are: s3://bucket/prefix/")
    parser.add_argument("--name", default="llama-3-2-11b-vision", help="the model's new name")
    parser.add_argument("--role", help="ARN of the role that Bedrock reads the files with")
    parser.add_argument("--kms-key", help="ARN of the key that the model is encrypted with")
    parser.add_argument("--dry-run", action="store_true", help="check the files, import nothing")
    parser.add_argument("--s3-endpoint-url", help="called instead of S3's own address")
    parser.add_argument(
        "--every",
        type=float,
        default=15,
        metavar="SECONDS",
        help="seconds between checks of the job",
    )


def run(parsed: argparse.Namespace) -> int:
    """Check the files, import them and wait; return 0 if there is a model at the end, else 1."""
    try:
        return asyncio.run(_run(parsed))
    except ClientError as error:
        sys.stderr.write(f"{sentence(error)}\n")
    except (BotoCoreError, OSError) as error:
        sys.stderr.write(f"{error}\n")
    except KeyboardInterrupt:
        sys.stderr.write("\nThe import goes on in AWS; the same command takes it up again.\n")
    return 1


async def _run(parsed: argparse.Namespace) -> int:
    settings = load()
    source = _S3.fullmatch(parsed.source)
    if source is None:
        sys.stderr.write("source: is not s3://bucket/prefix/\n")
        return 2
    endpoint = str(settings.endpoint_url) if settings.endpoint_url else None
    async with open_imports(settings.region, endpoint, parsed.s3_endpoint_url) as imports:
        prefix = f"{source['prefix'].rstrip('/')}/" if source["prefix"] else ""
        listing = await imports.files(source["bucket"], prefix, DOCUMENTS)
        model_files = ModelFiles(listing.sizes, listing.documents)
        checked = (
            *_arguments(parsed),
            *_regions(listing, settings.region),
            *files.check(model_files),
            LICENCE,
        )
        sys.stdout.write(findings.lines(checked))
        if worst(checked) is Level.FAULT:
            sys.stdout.write("\nNothing was imported: mend what is marked FAULT first.\n")
            return 1
        if parsed.dry_run:
            sys.stdout.write("\nNothing was imported: --dry-run only checks.\n")
            return 0
        request = ImportRequest(
            parsed.name, f"s3://{source['bucket']}/{prefix}", parsed.role, parsed.kms_key
        )
        job = await _finished(imports, await imports.start(request), parsed.every)
    if job.status != "Completed" or job.model_arn is None:
        sys.stdout.write(f"\nThe import failed: {job.failure or 'AWS gives no reason'}\n")
        return 1
    base = model_files.base or LLAMA_3_2_11B
    sys.stdout.write(
        f"\nImported. Three settings to serve it with:\n\n"
        f"export {PREFIX}REGION={settings.region}\n"
        f"export {PREFIX}MODEL_ID={job.model_arn}\n"
        f"export {PREFIX}BASE_MODEL={base.key}\n"
    )
    return 0


def _arguments(parsed: argparse.Namespace) -> tuple[Finding, ...]:
    checked = [
        ok("name", parsed.name)
        if _NAME.fullmatch(parsed.name)
        else fault("name", f"{parsed.name!r} is not a valid name", "Use letters, digits, - and _.")
    ]
    if parsed.role is None:
        mend = "Give --role; it needs s3:GetObject and s3:ListBucket on the prefix."
        checked.append((warning if parsed.dry_run else fault)("role", "is not given", mend))
    elif not _ROLE.fullmatch(parsed.role):
        mend = "Give it as arn:aws:iam::123456789012:role/name."
        checked.append(fault("role", "is not a role's ARN", mend))
    else:
        checked.append(ok("role", PurePosixPath(parsed.role).name))
    return tuple(checked)


def _regions(listing: BucketFiles, region: str) -> tuple[Finding, ...]:
    if region not in REGIONS:
        mend = f"Set {PREFIX}REGION to one of {', '.join(REGIONS)}."
        return (fault("region", f"Custom Model Import is not offered in {region}", mend),)
    if listing.region and listing.region != region:
        mend = "Copy the files to a bucket in the same region, or import there."
        return (warning("region", f"the bucket is in {listing.region}, not in {region}", mend),)
    return (ok("region", region),)


async def _finished(imports: ModelImports, arn: str, every: float) -> ImportJob:
    """Wait for the job's end, and show on one line how long it has been running."""
    began = time.monotonic()
    while (job := await imports.job(arn)).status == "InProgress":
        minutes, seconds = divmod(round(time.monotonic() - began), 60)
        sys.stdout.write(f"\r{job.name}: in progress for {minutes}:{seconds:02} ")
        sys.stdout.flush()
        await asyncio.sleep(every)
    sys.stdout.write(f"\r{job.name}: {job.status}                    \n")
    return job
