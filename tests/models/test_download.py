import copy
import errno
import hashlib
import http.server
import io
import multiprocessing
import os
import signal
import threading
from dataclasses import dataclass, field, replace

import pytest
import torch

from sightline.errors import StorageError, WeightsError
from sightline.models import create_model, weights
from sightline.models.download import _alone, fetch_file
from sightline.models.weights import Published, load_published

CONTENT = bytes(range(256)) * 5000
DIGEST = hashlib.sha256(CONTENT).hexdigest()[:8]


@dataclass
class Site:
    """A web site of one file that can break off, refuse ranges, or serve something else."""

    url: str = ""
    file: str = "weights.pth"
    content: bytes = CONTENT
    break_after: int | None = None
    ranges: bool = True
    requests: list = field(default_factory=list)


@pytest.fixture
def site():
    made = Site()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked = self.headers.get("Range")
            made.requests.append(asked)
            if self.path != f"/{made.file}":
                self.send_error(404)
                return
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and made.ranges else 0
            if start and start >= len(made.content):
                self.send_error(416)
                return
            body = made.content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: made.break_after])

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    made.url = f"http://127.0.0.1:{server.server_port}/weights.pth"
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache" / "weights.pth"


def _partial(path):
    return path.with_name(path.name + ".partial")


def test_a_file_is_downloaded_once(site, path):
    seen = []
    assert fetch_file(site.url, path, DIGEST, progress=lambda *now: seen.append(now)) == path
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert not _partial(path).exists()
    fetch_file(site.url, path, DIGEST)
    assert len(site.requests) == 1


def test_a_wrong_file_is_refused_and_not_kept(site, path):
    site.content = b"<html>please log in</html>"
    with pytest.raises(WeightsError, match="another file"):
        fetch_file(site.url, path, DIGEST)
    assert not path.exists()
    assert not _partial(path).exists()


def test_a_broken_connection_is_continued_by_the_next_call(site, path):
    site.break_after = 1000
    with pytest.raises(WeightsError, match=f"broke after 1,000 of {len(CONTENT):,} bytes"):
        fetch_file(site.url, path, DIGEST)
    assert not path.exists()
    site.break_after = None
    assert fetch_file(site.url, path, DIGEST).read_bytes() == CONTENT
    assert site.requests == [None, "bytes=1000-"]


def test_a_server_that_cannot_continue_starts_again(site, path):
    site.ranges = False
    path.parent.mkdir()
    _partial(path).write_bytes(b"something older")
    assert fetch_file(site.url, path, DIGEST).read_bytes() == CONTENT
    assert site.requests == ["bytes=15-"]


@pytest.mark.parametrize("already", [CONTENT, CONTENT + b"too much"])
def test_a_partial_file_with_nothing_left_to_come_starts_again(site, path, already):
    path.parent.mkdir()
    _partial(path).write_bytes(already)
    assert fetch_file(site.url, path, DIGEST).read_bytes() == CONTENT
    assert site.requests == [f"bytes={len(already)}-", None]


def test_more_bytes_than_allowed_are_not_taken(site, path):
    with pytest.raises(WeightsError, match="more than 100 bytes"):
        fetch_file(site.url, path, DIGEST, size_limit=100)
    assert list(path.parent.glob("weights*")) == []


def test_a_missing_file_says_the_servers_answer(site, path):
    with pytest.raises(WeightsError, match="404"):
        fetch_file(site.url.replace("weights", "nothing"), path, DIGEST)


def test_without_a_network_the_error_says_what_to_bring_and_where_to_put_it(path):
    with pytest.raises(WeightsError) as caught:
        fetch_file("http://127.0.0.1:9/weights.pth", path, DIGEST)
    text = str(caught.value)
    assert "weights.pth could not be downloaded: the server cannot be reached" in text
    assert f"bring the file from http://127.0.0.1:9/weights.pth and put it at {path}" in text
    assert list(path.parent.glob("weights*")) == []


def test_a_file_that_the_user_brought_needs_no_network(path):
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    assert fetch_file("http://127.0.0.1:9/weights.pth", path, DIGEST) == path


def test_a_damaged_file_is_named_and_left_alone(path):
    path.parent.mkdir()
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(WeightsError, match=r"damaged or is another file.*Delete it"):
        fetch_file("http://127.0.0.1:9/weights.pth", path, DIGEST)
    assert path.exists()


def test_a_folder_that_cannot_be_made_is_a_storage_error(site, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="could not be written"):
        fetch_file(site.url, tmp_path / "cache" / "weights.pth", DIGEST)


def test_a_file_that_cannot_be_read_is_named(path):
    path.mkdir(parents=True)  # where the file should be
    with pytest.raises(WeightsError, match=f"{path.name} is there but cannot be read: Is a directory. Replace it"):
        fetch_file("http://127.0.0.1:9/weights.pth", path, DIGEST)


def test_a_folder_that_may_not_be_searched_is_a_storage_error(path, monkeypatch):
    def forbidden(_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("pathlib.Path.exists", forbidden)
    with pytest.raises(StorageError, match="could not be written: Permission denied"):
        fetch_file("http://127.0.0.1:9/weights.pth", path, DIGEST)


def test_who_comes_second_waits_for_the_first(site, path):
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(fetch_file(site.url, path, DIGEST).read_bytes()))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [CONTENT] * 4
    assert len(site.requests) == 1


@pytest.mark.slow
def test_a_process_that_died_with_the_lock_does_not_block_the_next(site, path):
    context = multiprocessing.get_context("spawn")
    dying = context.Process(target=_lock_and_die, args=(path,))
    dying.start()
    dying.join()
    assert dying.exitcode == -signal.SIGKILL
    assert fetch_file(site.url, path, DIGEST).read_bytes() == CONTENT


def _lock_and_die(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path):
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def teacher():
    """A published GoogLeNet of 5 classes, and the bytes of its file."""
    torch.manual_seed(0)
    model = create_model("googlenet", num_classes=5)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    return model, file.getvalue()


@pytest.fixture
def published(teacher, site, tmp_path, monkeypatch):
    """The site in the place of the real one; its file is the one that the table names."""
    site.content = teacher[1]
    site.file = f"googlenet-{hashlib.sha256(site.content).hexdigest()[:8]}.pth"
    address = site.url.removesuffix("weights.pth")
    entry = Published(file=site.file, reported={"top1": 1.0, "top5": 5.0}, num_classes=5, folder_url=address)
    monkeypatch.setattr(weights, "PUBLISHED", {"googlenet": {"imagenet-v1": entry}})
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    return entry


def _student():
    torch.manual_seed(1)
    return create_model("googlenet", num_classes=5, auxiliary=False)


def _equal(model, state):
    return all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


@pytest.mark.slow
def test_weights_are_loaded_by_name_from_the_site_and_then_from_the_cache(published, site, teacher):
    for _ in range(2):
        model = _student()
        report = load_published(model, "googlenet")
        assert _equal(model, teacher[0].state_dict())
        assert report.source == published.file
        assert all(name.startswith("aux") for name in report.left_out)
    assert len(site.requests) == 1


def test_a_file_with_another_hash_is_not_loaded_by_name(published, site):
    site.content = site.content[:-1] + b"?"
    model = _student()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(WeightsError, match=f"{published.file}.*another file"):
        load_published(model, "googlenet")
    assert _equal(model, before)
    assert list(weights.cache_folder().glob("googlenet*")) == []


def test_an_interrupted_download_is_never_loaded_and_the_next_call_goes_on(published, site, teacher):
    site.break_after = 1_000_000
    model = _student()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(WeightsError, match="broke after 1,000,000"):
        load_published(model, "googlenet")
    assert _equal(model, before)
    site.break_after = None
    load_published(model, "googlenet")
    assert _equal(model, teacher[0].state_dict())
    assert site.requests == [None, "bytes=1000000-"]


def test_without_a_network_the_name_leads_to_the_file_to_bring_and_its_place(published, monkeypatch):
    away = replace(published, folder_url="http://127.0.0.1:9/")
    monkeypatch.setattr(weights, "PUBLISHED", {"googlenet": {"imagenet-v1": away}})
    with pytest.raises(WeightsError) as caught:
        load_published(_student(), "googlenet")
    place = weights.cache_folder() / published.file
    assert f"bring the file from {away.url} and put it at {place}" in str(caught.value)


def test_where_downloads_cannot_be_kept_another_folder_is_asked_for(published, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(StorageError, match=f"SIGHTLINE_CACHE names: choose one .* with {published.file} in it"):
        load_published(_student(), "googlenet")
