#!/usr/bin/env bash
# Installs Debian's programs that some tests drive, where they are missing and it can; else says how.
# Nothing that it installs is started, now or when the machine starts.
set -euo pipefail

say() { printf 'programs: %s\n' "$*" >&2; }
there() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ]; }
one_of() { for name in "$@"; do [ -n "$name" ] && there "$name" && return 0; done; return 1; }

packages=() services=() tests=()
one_of "${SCREENALYZER_CHROMIUM:-}" chromium chromium-browser google-chrome \
    || { packages+=(chromium); tests+=("the review UI"); }
{ there prometheus && there promtool; } \
    || { packages+=(prometheus); services+=(prometheus); tests+=("metrics and alerts"); }
there nginx || { packages+=(nginx); services+=(nginx); tests+=("the reverse proxy"); }
there kubectl || say "kubectl: not found, so the tests of Kubernetes' files are skipped. Debian 12's is too old for them: \
https://kubernetes.io/docs/tasks/tools/ has another, of 1.21 or later"
[ "${#packages[@]}" -gt 0 ] || exit 0

skipped="$(printf '%s, ' "${tests[@]}")"
skipped="the tests of ${skipped%, } are skipped"
if ! command -v apt-get >/dev/null 2>&1; then
    say "${packages[*]}: not found, so $skipped. Install them; a Chromium elsewhere is named by SCREENALYZER_CHROMIUM=/path/to/chromium"
    exit 0
elif [ "$(id -u)" != 0 ]; then
    say "${packages[*]}: not found, so $skipped. As root: apt-get install --no-install-recommends ${packages[*]}"
    exit 0
fi

# Debian asks this program before a package may start a service: 101 is no.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
fi

say "installing ${packages[*]} for the tests"
export DEBIAN_FRONTEND=noninteractive
if apt-get update -qq && apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null; then
    for service in "${services[@]}"; do
        ! command -v systemctl >/dev/null 2>&1 || systemctl disable --quiet "$service" || true
    done
else
    say "${packages[*]}: could not be installed; the lines above say why, and $skipped"
fi
