"""Whose fault a refused start is, told by the words of Docker 20.10 and later."""

from __future__ import annotations

import pytest

from venvctl.engine.refusals import is_about

_RUNC = "OCI runtime create failed: runc create failed: unable to start container process: "
_INIT = f"{_RUNC}error during container init: "
_LAYER = "/var/lib/docker/overlay2/eb8958e1/merged"


@pytest.mark.parametrize(
    "words",
    [
        (
            f'{_RUNC}exec: "/venv/bin/gunicorn": stat '
            "/venv/bin/gunicorn: no such file or directory: unknown"
        ),
        f'{_RUNC}exec: "/venv/bin/run": permission denied',
        (f'{_RUNC}exec: "gunicorn": executable file not found in $PATH: unknown'),
        f"{_INIT}mkdir /venv/share/work: read-only file system: unknown",
        (
            f'{_INIT}error mounting "/srv/plugins" to rootfs at "/venv/plugins": mkdir '
            f"{_LAYER}/venv/plugins: read-only file system: unknown"
        ),
    ],
)
def test_what_is_missing_below_the_mount_is_the_generations(words: str) -> None:
    assert is_about(words, "/venv")
    assert is_about(words, "/venv/")


@pytest.mark.parametrize(
    "words",
    [
        (
            "driver failed programming external connectivity on endpoint web (ad9ceb1d): Bind for "
            "0.0.0.0:80 failed: port is already allocated"
        ),
        f'{_INIT}error mounting "/srv/data" to rootfs at "/data": stat /srv/data: no such file',
        f'{_RUNC}exec: "/app/run.sh": stat /app/run.sh: no such file or directory: unknown',
        # the volume itself can't be mounted
        (
            "error while mounting volume '/var/lib/docker/volumes/shop_venv/_data': failed to "
            "mount local volume: mount /srv/environments/shop_venv/volume: no such file"
        ),
        (
            f'{_INIT}error mounting "/var/lib/docker/volumes/shop_venv/_data" to rootfs at '
            f'"/venv": mkdir {_LAYER}/venv/x: read-only file system: unknown'
        ),
        "id already in use",
        "context canceled",
    ],
)
def test_everything_else_is_not(words: str) -> None:
    assert not is_about(words, "/venv")
