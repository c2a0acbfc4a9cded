#!/usr/bin/env bash
# Links between the documents, and documents that code names: is each there? Headings of other documents, too.
#   tests/docs.sh FOLDER of the repository
set -euo pipefail
cd "$1"
of_others=':docs/(measurements_metrics|IR)\.md$'  # perf_analyzer's, ONNX's
wrong=0
complain() { echo "$1" >&2; wrong=1; }
# GitHub's anchors of a file's headings.
anchors() { sed -n 's/^#\{1,6\} //p' "$1" | tr '[:upper:]' '[:lower:]' | sed 's/[^a-z0-9 _-]//g; s/ /-/g'; }
count=0
while IFS=: read -r file link; do
  count=$((count + 1))
  target=${link%%#*} anchor=
  [[ $link == *#* ]] && anchor=${link#*#}
  path=$file
  [[ -z $target ]] || path=$(dirname "$file")/$target
  if [[ ! -e $path ]]; then
    complain "$file: there is no $target"
  elif [[ -n $anchor && $path == *.md ]] && ! anchors "$path" | grep -qx -- "$anchor"; then
    complain "$file: $path has no heading #$anchor"
  fi
done < <(grep -oE '\]\([^) ]+\)' README.md CONTRIBUTING.md CHANGELOG.md docs/*.md docs/adr/*.md examples/*/README.md tests/kernel/README.md | sed 's/:\](/:/; s/)$//' | grep -vE ':(https?|mailto):')
while IFS=: read -r file page; do
  count=$((count + 1))
  [[ -e $page ]] || complain "$file names $page, which is not there"
done < <(grep -rIoP '(?<![/\w])docs/[A-Za-z0-9_/-]+\.md' CMakeLists.txt README.md CONTRIBUTING.md CHANGELOG.md src include python tests scripts tools bench packaging examples contrib --exclude-dir=__pycache__ --exclude=docs.sh 2>/dev/null | grep -vE "$of_others" | sort -u)
((count > 100)) || complain "only $count links were found"
((wrong)) || echo "$count links hold"
exit $wrong
