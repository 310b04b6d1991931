#!/bin/sh
# Print the Python to set up with: 3.11 or later, and able to make a virtual environment where one can.
# A name on the PATH proves nothing (it may be a shim for a version that is not there), so each is run.

find_python() {
    for name in ${PYTHON:-} python3.11 python3.12 python3.13 python3.14 python3 python; do
        path=$(command -v "$name" 2>/dev/null) || continue
        if "$path" -c "import sys, $1; sys.exit(sys.version_info < (3, 11))" >/dev/null 2>&1; then
            echo "$path"
            return 0
        fi
    done
    return 1
}

find_python "venv, ensurepip" || find_python "venv, pip" || find_python "sys" || {
    echo "Relais needs Python 3.11 or later, and finds none." >&2
    echo "  Debian, Ubuntu: sudo apt install python3 python3-venv      Fedora: sudo dnf install python3" >&2
    echo "  macOS: brew install python@3.13      elsewhere, name one: make PYTHON=/path/to/python3" >&2
    exit 1
}
