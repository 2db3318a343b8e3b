#!/usr/bin/env bash
# Makes .venv with everything the project needs, or says in one line what is missing.
# A second run with unchanged requirements returns at once.
set -euo pipefail
cd "$(dirname "$0")/.."

need_gb=10
stamp=.venv/.ready-$(cat pyproject.toml constraints.txt | sha256sum | cut -c1-16)
[ -f "$stamp" ] && exit 0

fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

python=""
for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3; do
    [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 || continue
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || fail "Python 3.11, 3.12 or 3.13 is needed and none was found. Install one, or name it: make setup PYTHON=/path/to/python3.11"
"$python" -c 'import ensurepip, venv' 2>/dev/null || fail "$python lacks the venv module. On Debian: apt-get install python3-venv"

free_gb=$(df -Pk . | awk 'NR == 2 {print int($4 / 1048576)}')
have_gb=$([ -d .venv ] && du -sk .venv | awk '{print int($1 / 1048576)}' || echo 0)
if [ $((free_gb + have_gb)) -lt "$need_gb" ]; then
    fail "$need_gb GB of free disk are needed for the dependencies and only $free_gb GB are left in $PWD. Free some, or move the checkout."
fi

echo "setup: installing into .venv (a few minutes the first time, about $need_gb GB)"
"$python" -m venv .venv
rm -f .venv/.ready-*
.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo,dev]' \
    || fail "the packages could not be installed; the lines above say why. Check the network and run it again: what was fetched is kept."
touch "$stamp"
echo "setup: ready"
