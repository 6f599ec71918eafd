"""Fetches a GGUF file of the Hugging Face Hub into that library's own cache. It is run as a script, in a
process that can be ended at any time, and imports nothing of praison_nb.

On stdin it gets one line of JSON, {"repo", "quant"}; to stdout it writes lines of JSON: {"activity": TEXT}
any number of times, and last {"path": PATH} or {"error": TEXT}. What has come of a file when it is ended
stays beside the cache's blobs, and the next one goes on from there.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

USUAL = "Q4_K_M"
"""The quantization that is taken where none is named."""

_PART = re.compile(r"-(\d{5})-of-(\d{5})$")
_QUANT = re.compile(r"(?:^|[-._/])((?:UD-)?(?:I?Q\d\w*|TQ\d\w*|MXFP\d\w*|BF16|FP?16|FP?32))$", re.I)
_NO_MODEL = re.compile(r"(^|[-._/])(mmproj|imatrix)", re.I)


class Refusal(Exception):
    """What cannot be done, in one line."""


def quant_of(name: str) -> str:
    """The quantization that a file's name says, "" where it says none.

    >>> quant_of("SmolLM2-135M-Instruct.Q4_1.gguf"), quant_of("x-UD-IQ2_XXS-00001-of-00002.gguf")
    ('Q4_1', 'UD-IQ2_XXS')
    """
    found = _QUANT.search(_PART.sub("", name.removesuffix(".gguf")))
    return found[1] if found else ""


def choose(files: Iterable[str], quant: str) -> list[str]:
    """The files of the model that is meant, all parts of a split one in their order: the quantization asked
    for, else Q4_K_M, else the only one that there is. Raises Refusal.

    >>> choose(["a-Q4_K_M.gguf", "a-Q8_0.gguf"], ""), choose(["a-Q4_K_M.gguf", "a-Q8_0.gguf"], "q8_0")
    (['a-Q4_K_M.gguf'], ['a-Q8_0.gguf'])
    """
    models: dict[str, list[str]] = {}
    for name in sorted(files):
        if name.endswith(".gguf") and not _NO_MODEL.search(name):
            models.setdefault(_PART.sub("", name.removesuffix(".gguf")), []).append(name)
    if not models:
        raise Refusal("it has no GGUF file")
    wanted = (quant or USUAL).lower().removesuffix(".gguf")
    found = [key for key in models if wanted in (quant_of(key).lower(), key.lower(), Path(key).name.lower())]
    if not found and not quant and len(models) == 1:
        found = list(models)
    if len(found) != 1:
        names = {key: quant_of(key) or key for key in found or models}
        if len(set(names.values())) < len(names):
            names = {key: key for key in names}
        raise Refusal(f"name one of its models: {', '.join(names.values())}")
    parts = models[found[0]]
    if (split := _PART.search(parts[0].removesuffix(".gguf"))) and len(parts) != int(split[2]):
        raise Refusal(f"it has {len(parts)} of the {int(split[2])} parts of {Path(found[0]).name}")
    return parts


class _File(io.BufferedWriter):
    """A file that says how much of it has come."""

    def __init__(self, path: Path, before: int, total: int) -> None:
        super().__init__(io.FileIO(path, "ab"))
        self._before, self._total, self._shown = before, total, ""

    def write(self, data: Any) -> int:
        size = super().write(data)
        done, total = round((self._before + self.tell()) / 1e6), round(self._total / 1e6)
        if (text := f"fetching the model: {done} of {total} MB") != self._shown:
            self._shown = text
            tell(activity=text)
        return size


def tell(**what: str) -> None:
    """Write a line; whoever reads no more ends this process."""
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


def fetch(repo: str, quant: str) -> str:
    """The path of the model's (first) file, fetched if it has to be. Raises Refusal, and what the library
    raises."""
    from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_url

    tell(activity="looking for the model")
    info = HfApi().model_info(repo)
    names = choose((each.rfilename for each in info.siblings or ()), quant)
    urls = [hf_hub_url(repo, name, revision=info.sha) for name in names]
    files = [get_hf_file_metadata(url) for url in urls]
    total, before, paths = sum(file.size or 0 for file in files), 0, []
    for name, url, file in zip(names, urls, files, strict=True):
        paths.append(_fetch(repo, info.sha, name, url, file, before, total))
        before += file.size or 0
    return paths[0]


def _fetch(repo: str, commit: Any, name: str, url: str, file: Any, before: int, total: int) -> str:
    """One file: what is missing of its blob, which the library then gives its name."""
    import filelock
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.file_download import repo_folder_name

    known = try_to_load_from_cache(repo, name, revision=commit)
    if isinstance(known, str) and os.path.exists(known):
        return known
    cache, own = Path(constants.HF_HUB_CACHE), repo_folder_name(repo_id=repo, repo_type="model")
    folder, locks = cache / own / "blobs", cache / ".locks" / own
    for each in (folder, locks):
        each.mkdir(parents=True, exist_ok=True)
    blob, part = folder / file.etag, folder / f"{file.etag}.praison_nb.part"
    lock = filelock.FileLock(locks / f"{part.name}.lock")
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        tell(activity="waiting: the model is being fetched already")
        lock.acquire()
    with lock:
        if not blob.exists():
            size = part.stat().st_size if part.exists() else 0
            if file.size is not None and size > file.size:
                part.unlink()
                size = 0
            free = shutil.disk_usage(folder).free
            if (missing := (file.size or 0) - size) > free:
                raise Refusal(
                    f"it needs {missing / 1e9:.1f} GB more in {folder}, where {free / 1e9:.1f} GB are free: "
                    "HF_HOME can name another folder"
                )
            _download(url, file, part, before, total)
            _check(part, file.etag)
            part.replace(blob)
    return str(hf_hub_download(repo, name, revision=commit))


def _download(url: str, file: Any, part: Path, before: int, total: int) -> None:
    """What `part` lacks of the file; a cut connection is opened again as long as something comes."""
    from huggingface_hub import get_hf_file_metadata
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    while True:
        headers = build_hf_headers()
        if urlsplit(file.location).netloc != urlsplit(url).netloc:
            # The Hub's key is not for who keeps the file.
            headers.pop("authorization", None)
        size = part.stat().st_size if part.exists() else 0
        try:
            with _File(part, before, total) as out:
                http_get(file.location, out, resume_size=size, headers=headers, expected_size=file.size)
            return
        except Exception as error:
            if not is_away(error) or part.stat().st_size == size:
                raise
        # The address is good for a while only.
        file = get_hf_file_metadata(url)


def _check(part: Path, etag: str) -> None:
    """Big files have their SHA-256 for an etag."""
    if re.fullmatch(r"[0-9a-f]{64}", etag):
        tell(activity="checking the model")
        with part.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != etag:
                part.unlink()
                raise Refusal("what came is not the file (its SHA-256 is another): ask again")


def cached(repo: str, quant: str) -> str:
    """The path of a model that was fetched before, without asking anybody. Raises Refusal."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    folder = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repo, repo_type="model") / "snapshots"
    snapshots = sorted(folder.glob("*"), key=lambda each: each.stat().st_mtime, reverse=True)
    for snapshot in snapshots:
        files = [str(path.relative_to(snapshot)) for path in snapshot.rglob("*.gguf") if path.exists()]
        if files:
            return str(snapshot / choose(files, quant)[0])
    raise Refusal("it was not fetched before")


def reason(error: BaseException, repo: str) -> str:
    """What went wrong, in one line and without addresses, which may be signed."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, Refusal):
        return str(error)
    if "GatedRepoError" in kinds:
        return f"its owner gives it to who agreed: do so on its page, {repo}, and set HF_TOKEN"
    status = getattr(getattr(error, "response", None), "status_code", None)
    if "RepositoryNotFoundError" in kinds or status in (401, 404):
        return "there is no such repository, or it is private: set HF_TOKEN"
    if isinstance(status, int):
        return f"the Hub answers with status {status}"
    if isinstance(error, OSError) and error.errno is not None and error.strerror:
        return f"{error.strerror}: HF_HOME can name another folder"
    text = " ".join(str(error).split()) or type(error).__name__
    return re.sub(r"\w+://\S+", "[address]", text)[:300].rstrip(".")


def is_away(error: BaseException) -> bool:
    """Whether the Hub cannot be reached, or may not be asked."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    away = {"OfflineModeIsEnabled", "TransportError", "ConnectionError", "Timeout", "LocalEntryNotFoundError"}
    return bool(kinds & away)


def main() -> None:
    """Fetch what stdin says."""
    asked = json.loads(sys.stdin.buffer.readline())
    repo, quant = asked["repo"], asked["quant"]
    try:
        tell(path=fetch(repo, quant))
    except BrokenPipeError:
        os._exit(1)
    except Exception as error:
        if not is_away(error):
            tell(error=reason(error, repo))
            return
        try:
            tell(path=cached(repo, quant))
        except Refusal as refusal:
            tell(error=f"the Hub cannot be reached ({reason(error, repo)}), and {refusal}")


if __name__ == "__main__":
    main()
