#!/usr/bin/env bash
# Tries the containers on this machine: builds, starts, five dialects through HAProxy, replicas that come, die and are restarted under
# 1,000 clients, `down` and `up`, TLS. Prints what it measured. Needs Debian, root, the ports 3000 to 3004 and 3010 to 3070, about 10 GB of
# disk and 40 minutes, 10 without the build (--no-build). Removes the volumes of its own project, crosspoint-trial, and no other.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
((EUID == 0)) || { echo "trial.sh needs root: it gives this machine more addresses, from which clients come." >&2 && exit 1; }

packages=()
command -v dockerd >/dev/null || packages+=(docker.io iptables)
docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null || packages+=(docker-compose)
for package in python3-venv iproute2 openssl curl ca-certificates; do
    [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || packages+=("$package")
done
if ((${#packages[@]})); then
    apt-get update --quiet=2
    DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends "${packages[@]}"
fi

folder=$(mktemp --directory)
engine=
end() {
    rm --recursive --force "$folder"
    [[ -z $engine ]] || { kill "$engine" && wait "$engine" || true; }
}
trap end EXIT
if ! docker info >/dev/null 2>&1; then
    # No init system that would start it: then it runs as long as this does.
    dockerd >"${TMPDIR:-/tmp}/crosspoint-dockerd.log" 2>&1 &
    engine=$!
    for ((i = 0; i < 60; i++)); do ! docker info >/dev/null 2>&1 || break && sleep 0.5; done
    docker info >/dev/null
fi

compose=docker-compose
! docker compose version >/dev/null 2>&1 || compose="docker compose"
/usr/bin/python3 -m venv "$folder/python"
"$folder/python/bin/python" -m pip install --quiet --disable-pip-version-check "$(grep '^websockets==' "$root/Tests/IntegrationTests/Clients/requirements.txt")"
mkdir "$folder/tls"
"$folder/python/bin/python" -B "$root/Tests/Deployment/trial.py" --compose "$compose" --folder "$folder/tls" "$@"
