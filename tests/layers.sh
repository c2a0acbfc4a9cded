#!/usr/bin/env bash
# Who may include whom: every #include "folder/..." in src/ against src/LAYERS; and libraries that are confined to one place.
set -euo pipefail
src=$1 bad=0
declare -A allowed
while IFS=: read -r folder list; do allowed[$folder]=" $folder $list "; done < <(grep -E '^[a-z]+:' "$src/LAYERS")
while IFS=: read -r file line text; do
  from=${file#"$src"/}; from=${from%%/*}
  to=${text#*\"}; to=${to%%/*}
  [[ -n ${allowed[$from]:-} ]] || { echo "$file: folder $from is not in LAYERS"; bad=1; continue; }
  [[ ${allowed[$from]} == *" all "* || ${allowed[$from]} == *" $to "* ]] || { echo "$file:$line: $from may not include $to"; bad=1; }
done < <(grep -rnE '^ *# *include "[a-z]+/' "$src" --include=*.h --include=*.cc)
confined() {  # confined PATTERN FILES...: the include may stand only in these
  local pattern=$1; shift
  while IFS= read -r file; do
    local rel=${file#"$src"/} ok=0
    for place in "$@"; do [[ $rel == $place ]] && ok=1; done
    ((ok)) || { echo "$rel includes <$pattern>, which is confined to: $*"; bad=1; }
  done < <(grep -rlE "^ *# *include <$pattern" "$src" --include=*.h --include=*.cc)
}
confined 'Eigen/' 'surrogate/*' 'acquisition/*' 'optimizer/*' 'interference/*'
confined 'sqlite3' 'journal/sqlite.cc'
confined 'onnxruntime' 'engine/onnx*.cc' 'engine/onnx*.h'
confined 'google/protobuf' 'engine/graph/file.cc' 'engine/graph/wire.h'
confined 'CLI/' 'cli/*'
confined 'dlfcn' 'engine/onnx_runtime.cc' 'host/nvml.cc'
confined 'grpcpp/' 'server/grpc.cc' 'server/grpc_test.cc'
confined 'open_inference' 'server/grpc_*.cc'
exit $bad
