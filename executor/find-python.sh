# Part of the executor bundle's launcher (a POSIX sh script): which Python runs it.
#
# Sets `python` to the path of the first of $THERMOS_PYTHON, python3, python3.13, python3.12, python3.11 (and newer) that
# is at least 3.11 and that the bundle has extension modules for; else says one line on stderr, with what it found
# instead, and returns 1. Under Mesos' Docker containerizer the launcher runs inside the image, where the agent's
# MESOS_DIRECTORY is not to be seen: then the line speaks of the image.
find_python() {
  _range="3.11 or newer" _below=99 # scripts/bundle/build.py puts here what a bundle is for
  python=
  _seen=
  PATH="${PATH:+$PATH:}/usr/local/bin:/usr/bin:/bin"
  for _name in ${THERMOS_PYTHON:+"$THERMOS_PYTHON"} python3 python3.13 python3.12 python3.11 python3.15 python3.14; do
    _path=$(command -v -- "$_name" 2>/dev/null) && [ -n "$_path" ] || continue
    _found=$("$_path" -I -S -c 'import sys; v = sys.version_info; print("%d.%d.%d" % v[:3], sys.executable); sys.exit(not (3, 11) <= v[:2] < (3, int(sys.argv[1])))' "$_below" 2>/dev/null) && {
      python=${_found#* } # itself, not a shim
      return 0
    }
    _version=${_found%% *}
    _seen="$_seen${_seen:+, }$_path is ${_version:-no Python that works}"
  done
  _where="this host"
  [ -n "${MESOS_DIRECTORY:-}" ] && [ ! -d "$MESOS_DIRECTORY" ] && _where="this container's image"
  echo "cannot start thermos_executor: $_where has no Python $_range (${_seen:-none at all}); install one, or name it in THERMOS_PYTHON" >&2
  return 1
}
