#!/usr/bin/env bash
# Installs what the benchmarks compare with into a Python environment: .build/peers, or the folder given.
# llama.cpp is compiled from the package's source for this machine (about 6 minutes on two cores); an installed one is kept.
set -euo pipefail
folder=${1:-$(dirname "$0")/../.build/peers}
command -v cc c++ python3 >/dev/null || { echo "needs a C++ compiler and python3 (apt-get install build-essential python3-venv)" >&2; exit 1; }
[ -x "$folder/bin/python" ] || python3 -m venv "$folder"
if ! "$folder/bin/python" -c 'import llama_cpp; assert llama_cpp.__version__ == "0.3.36"' 2>/dev/null; then
  CMAKE_ARGS="-DGGML_NATIVE=ON -DLLAMA_CURL=OFF" CMAKE_BUILD_PARALLEL_LEVEL=${JOBS:-2} \
    "$folder/bin/pip" install --no-binary llama-cpp-python llama-cpp-python==0.3.36 >&2
fi
"$folder/bin/python" -c 'import ik_llama_cpp' 2>/dev/null || "$folder/bin/pip" install ik-llama-cpp-python==0.1.5 >&2 ||
  echo "warning: ik-llama-cpp-python is not to be had for this machine; the tables go without ik_llama.cpp" >&2
"$folder/bin/python" -c 'import wasmtime' 2>/dev/null || "$folder/bin/pip" install wasmtime >&2
# The wasm3 of pywasm3 is C: compiled with optimisation as its package says, with the compiler that makes tail calls of its handlers.
"$folder/bin/python" -c 'import wasm3' 2>/dev/null || CC=clang "$folder/bin/pip" install --no-binary :all: pywasm3==0.5.0 >&2 ||
  echo "warning: pywasm3 could not be built (it needs clang and the headers of Python: apt-get install python3-dev)" >&2
"$folder/bin/python" - <<'PYTHON'
import importlib.metadata, llama_cpp, numpy
print("llama-cpp-python", llama_cpp.__version__, "| numpy", numpy.__version__, "| wasmtime", importlib.metadata.version("wasmtime"))
print(llama_cpp.llama_print_system_info().decode())
PYTHON
