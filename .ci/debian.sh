# What the set-up scripts share: how they speak, and how they use Debian's packages. Sourced.
# shellcheck shell=bash

say() { printf 'setup: %s\n' "$*" >&2; }

fail() {
    printf 'setup: error: %s\n' "$*" >&2
    exit 1
}

# The release's name where this is Debian itself, nothing elsewhere.
debian_codename() (
    [ -r /etc/os-release ] || exit 0
    # shellcheck source=/dev/null
    . /etc/os-release
    [ "${ID:-}" != debian ] || printf '%s\n' "${VERSION_CODENAME:-sid}"
)

debian_as_root() { [ -n "$(debian_codename)" ] && [ "$(id -u)" -eq 0 ]; }

apt() { DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 "$@"; }

# apt_install PACKAGE...: install what is missing of them, without starting any service that
# comes along (invoke-rc.d starts nothing in runlevel 1; systemd doesn't ask).
apt_install() {
    local install=(install --no-install-recommends -y "$@")
    say "installing Debian's $* with apt-get"
    # A machine whose package lists are missing or old gets them, and another try.
    RUNLEVEL=1 apt "${install[@]}" >/dev/null 2>&1 || {
        apt update >&2
        RUNLEVEL=1 apt "${install[@]}" >/dev/null
    }
}

# debian_source SUITE: one line for sources.list, on the mirror that this machine uses already.
debian_source() {
    local codename keyring=/usr/share/keyrings/debian-archive-keyring.gpg mirror
    codename=$(debian_codename)
    # shellcheck disable=SC2016 # apt-get fills in the $(…)
    mirror=$(
        apt-get indextargets --format '$(COMPONENT) $(RELEASE) $(REPO_URI)' 'Created-By: Packages' |
            awk -v codename="$codename" '
                $1 == "main" && $2 ~ "^(" codename "|oldstable|stable|testing|unstable|sid)$" {
                    print $3
                    exit
                }'
    )
    [ -n "$mirror" ] || fail "no Debian mirror with a main component is among apt's sources."
    if [ -r "$keyring" ]; then
        printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$mirror" "$1"
    else
        printf 'deb %s %s main\n' "$mirror" "$1"
    fi
}
