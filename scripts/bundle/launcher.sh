#!/bin/sh
# The Thermos executor in one file: these lines find a Python, which unpacks the zip behind them (once) and runs it.
# `thermos_executor --bundle-info` tells what is inside, docs/executor.md the rest.
self=$0
case $self in */*) ;; *) self=$(command -v -- "$self") || self=$0 ;; esac
@FIND_PYTHON@
find_python || exit 69
export PATH
size=$(wc -c <"$self" 2>/dev/null) || size=@SIZE@
if [ "$size" -ne @SIZE@ ]; then
  echo "cannot start thermos_executor: $self is damaged: it has not the size it was made with; fetch it again" >&2
  exit 65
fi
launcher=@LAUNCHER@
exec "$python" -I -S -c "$launcher" "$self" "$@"
exit 69
