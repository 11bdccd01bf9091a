#!/usr/bin/env bash
# Runs the tests of packages in a virtual machine with a Debian kernel and cgroup v2,
# as root and as an ordinary user, each in a cgroup of its own that is delegated to it:
#
#   testdata/vm/run.sh ./limits/... ./supervisor
#   testdata/vm/run.sh ./limits/cgroup -- -test.v -test.run='^TestMemory$'
#
# It is for what the kernel at hand cannot show: cgroup v2 where the controllers are
# bound to v1, and older kernels. The default is Debian 12's Linux 6.1, which has
# Landlock ABI 2 and no PR_SET_MDWE.
#
#   KERNEL=linux-image-6.12-cloud-amd64   another Debian package, or a bzImage's path
#   ACCEL=kvm                             instead of emulation, where KVM works
#   TIMEOUT=30m                           of the whole machine; MEMORY=4096 (MiB) and CPUS=2
#
# It needs Linux on amd64, Go, gcc, and the Debian packages that it names when they are
# missing; it fetches the kernel's package with apt-get download and installs nothing.
# It needs no root, no network in the machine, and no disk: everything is in an initramfs.
# Emulated on two processors a boot takes 20 s, and tests about ten times as long as
# outside: limits/... takes 3 minutes. It ends with 0 when every test has passed and left no
# process behind.
set -euo pipefail
cd "$(dirname "$0")/../.."

: "${KERNEL:=linux-image-cloud-amd64}" "${ACCEL:=tcg}" "${TIMEOUT:=30m}" "${MEMORY:=4096}" "${CPUS:=2}"
packages=()
while (($#)) && [[ $1 != -- ]]; do
  packages+=("$1")
  shift
done
((${#packages[@]})) || { echo "usage: $0 PACKAGE... [-- FLAG...]" >&2; exit 2; }

missing=()
for need in qemu-system-x86_64:qemu-system-x86 busybox:busybox-static cpio:cpio setfattr:attr setpriv:util-linux; do
  command -v "${need%:*}" >/dev/null || missing+=("${need#*:}")
done
((${#missing[@]} == 0)) || { echo "$0: apt-get install --no-install-recommends ${missing[*]}" >&2; exit 2; }

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# The kernel. A metapackage depends on the real one.
if [[ $KERNEL == */* ]]; then
  bzimage=$KERNEL
else
  package=$(apt-cache depends "$KERNEL" | awk '$1 == "Depends:" && $2 ~ /^linux-image-[0-9]/ {print $2; exit}')
  (cd "$dir" && apt-get download -qq "${package:-$KERNEL}" 2>/dev/null && dpkg-deb -x ./*.deb kernel)
  bzimage=$(echo "$dir"/kernel/boot/vmlinuz-*)
fi

# The file system: programs, tests, what they read, and the libraries that they load.
root=$dir/initramfs/root
mkdir -p "$root"/{bin,src,tests,programs,etc,proc,sys,dev,tmp,run,var,lib64}
go build -ldflags='-s -w' -o "$root/programs/" ./cmd/greentic-provision ./cmd/step-worker ./examples/plugin-secrets
git ls-files -z -co --exclude-standard | while IFS= read -rd '' f; do [[ ! -e $f ]] || printf '%s\0' "$f"; done |
  xargs -0 cp --parents -t "$root/src"
go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}} {{.Dir}}{{end}}' "${packages[@]}" | while read -r package folder; do
  folder=${folder#"$PWD"/}
  go test -c -ldflags='-s -w' -o "$root/tests/${folder//\//_}" "$package"
  echo "$folder"
done >"$root/tests/list"
printf '%s\n' "${@:2}" >"$root/tests/flags"
cp "$(command -v busybox)" "$(command -v setfattr)" "$(command -v setpriv)" "$root/bin/"
find "$root/bin" "$root/programs" "$root/tests" -type f -perm -100 -exec ldd {} \; 2>/dev/null |
  grep -o '/[^ ]*\.so[^ ]*' | sort -u | while read -r lib; do
  mkdir -p "$root/$(dirname "$lib")"
  cp -L "$lib" "$root/$lib"
done
printf 'root:x:0:0::/tmp/root:/bin/sh\nnobody:x:65534:65534::/tmp/nobody:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
printf '127.0.0.1 localhost\n' >"$root/etc/hosts"
cp testdata/vm/init "$dir/initramfs/init"
cp "$(command -v busybox)" "$dir/initramfs/"
cp testdata/vm/tests "$root/bin/tests"
chmod -R a+rX "$root"
(cd "$dir/initramfs" && find . | cpio --quiet -o -H newc -R 0:0) >"$dir/initramfs.cpio"

cpu=max
[[ $ACCEL == tcg ]] || cpu=host
timeout "$TIMEOUT" qemu-system-x86_64 -M q35 -accel "$ACCEL" -cpu "$cpu" -smp "$CPUS" -m "$MEMORY" \
  -nodefaults -no-user-config -display none -no-reboot -serial stdio \
  -kernel "$bzimage" -initrd "$dir/initramfs.cpio" \
  -append "console=ttyS0 quiet loglevel=3 panic=-1" </dev/null |
  sed -u 's/\r//g' | tee "$dir/console" || { echo "$0: the machine did not end within $TIMEOUT" >&2; exit 1; }
grep -qx 'vm: all passed' "$dir/console"
