{% autoescape off %}#!/bin/sh
# Makes this machine a worker: fetches the worker program from the server, installs what it needs, and starts it.
# Run it again to start it again; FLOTILLA_HOME says where it lives.
set -eu

server={{ server }}
token={{ token }}
home="${FLOTILLA_HOME:-$HOME/flotilla-worker}"

python=
for candidate in python3.13 python3.12 python3.11 python3; do
  if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    python="$candidate"
    break
  fi
done
if [ -z "$python" ]; then
  echo "Python 3.11 or newer is needed. On Debian or Ubuntu: sudo apt-get install python3 python3-venv" >&2
  exit 1
fi

mkdir -p "$home"
cd "$home"
echo "Fetching the worker program into $home ..."
curl -fsSL -H "Authorization: Bearer $token" -o worker.tar.gz {{ program }}
tar -xzf worker.tar.gz
rm worker.tar.gz

if [ ! -x .venv/bin/python ]; then
  "$python" -m venv .venv || { echo "On Debian or Ubuntu: sudo apt-get install python3-venv" >&2; exit 1; }
fi
echo "Installing what it needs (the first time this takes some minutes) ..."
{% if wheels %}# A build of torch for CPUs: the usual one brings gigabytes for NVIDIA's GPUs along.
.venv/bin/pip install --quiet --extra-index-url {{ wheels }} "$(grep '^torch==' requirements/worker.txt | sed 's/[ #].*//')+cpu" ||
{% endif %}.venv/bin/pip install --quiet "$(grep '^torch==' requirements/worker.txt | sed 's/[ #].*//')"
.venv/bin/pip install --quiet -r requirements/worker.txt

echo "Starting the worker. To start it again later:"
echo "  cd $home && .venv/bin/python -m workers --server $server{{ listen }}"
FLOTILLA_JOIN_TOKEN="$token" exec .venv/bin/python -m workers --server "$server"{{ listen }}
{% endautoescape %}