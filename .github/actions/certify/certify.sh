#!/usr/bin/env bash
# Certify a version, say what came of it, and end with the gate's exit code:
# 0 COMPATIBLE, 1 INCOMPATIBLE, 3 INCONCLUSIVE, anything else a failure.
# Everything comes in by environment variables, so that no input is ever taken for a command.
set -euo pipefail

folder=${REPORTS:-samespace-report}
mkdir -p "$folder"
rm -f "$folder"/{report.html,report.md,junit.xml} # of an earlier run: it would speak for this one

options=(--registry "${REGISTRY:-.samespace}" --report "$folder/report.html"
  --markdown "$folder/report.md" --junit "$folder/junit.xml")
while IFS= read -r line; do
  [[ -n $line ]] && options+=("$line")
done <<<"${ARGUMENTS:-}"

code=0
samespace certify "$GALLERY" "$CANDIDATE" "${options[@]}" || code=$?
case $code in
  0) verdict=COMPATIBLE ;;
  1) verdict=INCOMPATIBLE ;;
  3) verdict=INCONCLUSIVE ;;
  *) verdict=FAILED ;;
esac

echo "verdict=$verdict" >>"${GITHUB_OUTPUT:-/dev/null}"
echo "exit-code=$code" >>"${GITHUB_OUTPUT:-/dev/null}"
if [[ -f $folder/report.md ]]; then
  cat "$folder/report.md" >>"${GITHUB_STEP_SUMMARY:-/dev/null}"
fi
exit "$code"
