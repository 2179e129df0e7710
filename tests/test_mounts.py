"""What the kernel's table of mounts says."""

from __future__ import annotations

import pytest

from venvctl.mounts import MountPoint, file_system, lists_inodes, mount_of, mount_points


def test_mount_points_are_read_with_their_spaces() -> None:
    text = (
        "36 35 98:0 /a /mnt/two\\040words rw - ext4 /dev/sda rw\n"
        "37 36 98:0 / /venv ro,relatime master:1 - ext4 /dev/sda rw\n"
    )

    assert mount_points(text) == [
        MountPoint("/mnt/two words", "ext4"),
        MountPoint("/venv", "ext4", writable=False),
    ]


def test_of_two_mounts_at_one_place_the_later_one_counts() -> None:
    mounts = [MountPoint("/", "ext4"), MountPoint("/srv", "nfs4"), MountPoint("/srv", "xfs")]

    assert mount_of("/srv/venvctl", mounts) == MountPoint("/srv", "xfs")
    assert mount_of("/srv", mounts) == MountPoint("/srv", "xfs")
    assert mount_of("/srves", mounts) == MountPoint("/", "ext4")


def test_where_nothing_is_known_nothing_is_said() -> None:
    assert mount_of("/srv", []) is None


def test_the_file_system_is_that_of_the_nearest_mount() -> None:
    assert file_system("/proc/self") == "proc"
    assert file_system("/sys/kernel") == "sysfs"
    assert file_system("/proceedings") == file_system("/")


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["/ ext4"], True),
        (["/ overlay"], False),
        (["/ ext4", "/srv nfs4"], False),
        (["/ overlay", "/srv xfs"], True),
        (["/ ext4", "/srv/venvctl/environments/shop/a file"], False),
        (["/ ext4", "/srv/venvctl2 overlay"], True),
        ([], False),
    ],
)
def test_a_listing_tells_inodes_on_plain_file_systems_with_nothing_mounted_inside(
    lines: list[str], *, told: bool
) -> None:
    text = "".join(
        f"36 35 98:0 / {path} rw - {kind} /dev/sda rw\n"
        for path, _, kind in (line.rpartition(" ") for line in lines)
    )

    assert lists_inodes("/srv/venvctl", text) is told
