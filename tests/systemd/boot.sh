#!/bin/sh
# boot.sh FOLDER CHECKOUT PYTHON: becomes systemd, in namespaces that the caller made, on this
# machine's own files under an overlay: what is written is gone with it. The checkout is at
# /opt/tapledger, with a virtual environment beside it as an installation has one.
set -eu
folder=$1 checkout=$2 python=$3
root=$folder/root
mount --make-rprivate /
mount -t tmpfs tmpfs "$folder"
mkdir "$folder/upper" "$folder/work" "$folder/ours" "$folder/ours-work" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" "$root"
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys" # the kernel's settings are everybody's
mount -t sysfs -o ro sysfs "$root/sys"    # read-only: systemd leaves devices alone
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
for each in run tmp dev media; do
    mkdir -p "$root/$each"
    mount -t tmpfs -o mode=755 tmpfs "$root/$each"
done
chmod 1777 "$root/tmp"
for each in null zero full random urandom tty; do
    touch "$root/dev/$each"
    mount --bind "/dev/$each" "$root/dev/$each"
done
mkdir "$root/dev/shm" "$root/dev/pts"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mkdir -p "$root/opt/tapledger" "$root/opt/python"
mount -t overlay overlay \
    -o "lowerdir=$checkout,upperdir=$folder/ours,workdir=$folder/ours-work" "$root/opt/tapledger"
chmod 755 "$root/opt/tapledger"
mount --bind "$python" "$root/opt/python"
rm -rf "$root/etc/systemd/system" "$root/etc/tapledger" "$root/var/lib/tapledger"
mkdir "$root/etc/systemd/system"
echo "127.0.0.1 localhost broker.example" >"$root/etc/hosts"

venv=$root/opt/tapledger/venv
mkdir -p "$venv/bin"
ln -s ../.venv/lib "$venv/lib"
ln -s /opt/python/bin/python3 "$venv/bin/python"
printf '%s\n' "home = /opt/python/bin" "include-system-site-packages = false" >"$venv/pyvenv.cfg"
# A Python of one's home folder finds its library there, where a unit does not look.
echo /opt/python/lib >"$root/etc/ld.so.conf.d/00-python.conf"
ldconfig -r "$root"
for each in edge cloud provision; do
    module=$each
    [ $each = provision ] && module=provisioning
    cat >"$venv/bin/tapledger-$each" <<X
#!/opt/tapledger/venv/bin/python
import sys
sys.path.insert(0, "/opt/tapledger")
from $module.__main__ import main
sys.exit(main())
X
    chmod 755 "$venv/bin/tapledger-$each"
done

cd "$root"
mkdir -p mnt/before
pivot_root . mnt/before
cd /
umount -l /mnt/before
exec env -i container=tapledger PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    setpriv --bounding-set=-sys_module,-sys_time,-sys_rawio,-syslog \
    /lib/systemd/systemd --unit=basic.target --log-target=journal --show-status=0
