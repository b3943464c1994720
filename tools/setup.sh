#!/usr/bin/env bash
# Installs the Debian 12 packages that building, testing and the demo need. Does nothing where all are there; asks for root through
# sudo where it is not root.
#   tools/setup.sh            all but the browser
#   tools/setup.sh browser    only the browser, in which one test opens the HTML report; without it that test is skipped
set -eu

packages=(
  build-essential cmake ninja-build pkg-config git
  libavformat-dev libavcodec-dev libavutil-dev libswscale-dev   # videos
  libsqlite3-dev sqlite3                                        # the store
  libcjson-dev libyaml-dev libssl-dev                           # JSON, sweep files, digests
  libpcre2-dev libutf8proc-dev                                  # the tokenizer
  libcurl4-openssl-dev libmicrohttpd-dev                        # servers: asking them, being one
  libsnappy-dev libzstd-dev zlib1g-dev                          # Parquet
  libarchive-dev                                                # archives of videos
  gnuplot-nox                                                   # plots
  libcmocka-dev                                                 # tests
)
[ "${1:-}" != browser ] || packages=(chromium)

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "setup: all Debian packages are there${1:+ for the $1}"
  exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "setup: not root, and no sudo; install as root: ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
echo "setup: installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
