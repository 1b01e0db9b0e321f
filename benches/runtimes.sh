#!/bin/bash
# What the binaries of the runtimes differ in before they have anything to do: size, dependencies, start.
# Build them first: cargo build --release
set -euo pipefail
cd "$(dirname "$0")/.."

# From the exec to the line that says where it listens, in milliseconds: the median of some starts.
start_time() {
    python3 - "$1" <<'PYTHON'
import statistics, subprocess, sys, time

def start():
    began = time.monotonic()
    command = [sys.argv[1], "--listen", "127.0.0.1:0", "--api", "http://127.0.0.1:1/"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as gateway:
        for line in gateway.stderr:
            if "listening" in line:
                break
        else:
            sys.exit(f"{sys.argv[1]} did not start")
        took = time.monotonic() - began
        gateway.kill()
        return 1000 * took

print(f"{statistics.median(start() for _ in range(15)):.1f}")
PYTHON
}

printf '%-16s%12s%16s%14s%12s\n' '' 'size, MB' 'stripped, MB' 'dependencies' 'start, ms'
for runtime in tokio smol; do
    binary=target/release/ws2http-$runtime
    stripped=$(mktemp)
    strip -o "$stripped" "$binary"
    dependencies=$(cargo tree --locked -e normal -p "ws2http-$runtime" --prefix none --no-dedupe | sort -u | wc -l)
    printf '%-16s%12.1f%16.1f%14d%12s\n' "ws2http-$runtime" \
        "$(($(stat -c %s "$binary") / 100000))e-1" "$(($(stat -c %s "$stripped") / 100000))e-1" \
        "$dependencies" "$(start_time "$binary")"
    rm -f "$stripped"
done
