#!/bin/sh
# Written by `venvctl hook install`, removed by `venvctl hook uninstall`.
#
# Git comes through here after every commit, merge, checkout, rebase or push. It compares which
# lockfiles git lists now with those that were taken up last (one `git ls-tree`), and ends. Only
# where they differ venvctl is started, and not waited for. Whatever happens, git goes on.

here=${0%/*}

list() {
@listing@
}

now=$(list 2>/dev/null)
seen=
while IFS= read -r line; do
    seen="$seen${seen:+
}$line"
done 2>/dev/null <"$here/seen"
[ "$now" != "$seen" ] || exit 0

program=@program@
if [ ! -x "$program" ]; then
    echo "venvctl: a lockfile changed, and $program is gone: install it again and run" \
        "\`venvctl hook install\`, or \`venvctl hook uninstall\`" >&2
    exit 0
fi
# They would lead every git command to this repository.
# shellcheck disable=SC2046 # a word for each variable
unset $(git rev-parse --local-env-vars)
VENVCTL_ROOT=${VENVCTL_ROOT:-@root@}
export VENVCTL_ROOT
wait=${VENVCTL_HOOK_WAIT:-@wait@}
# In the middle of a rebase, git would wait for a hook that waits for the rebase to end.
if [ "$1" != post-rewrite ] && { [ -d "$here/../rebase-merge" ] || [ -d "$here/../rebase-apply" ]; }; then
    wait=0
fi
if [ "$wait" = 1 ]; then
    @command@ hook run "$1" </dev/null >&2
else
    echo "venvctl: a lockfile changed; working on it in the background, see $(cd "$here" && pwd)/log" >&2
    # Closed so that nobody who waits for the end of git's output waits for us.
    nohup @command@ hook run "$1" </dev/null >>"$here/log" 2>&1 &
fi
exit 0
