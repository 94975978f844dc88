"""Which options of `docker run` take a value."""

from __future__ import annotations

_VALUED = """
    --add-host --annotation --attach --blkio-weight --blkio-weight-device --cap-add --cap-drop --cgroup-parent
    --cgroupns --cidfile --cpu-period --cpu-quota --cpu-rt-period --cpu-rt-runtime --cpu-shares --cpus --cpuset-cpus
    --cpuset-mems --detach-keys --device --device-cgroup-rule --device-read-bps --device-read-iops --device-write-bps
    --device-write-iops --dns --dns-opt --dns-option --dns-search --domainname --entrypoint --env --env-file --expose
    --gpus --group-add --health-cmd --health-interval --health-retries --health-start-interval --health-start-period
    --health-timeout --hostname --ip --ip6 --ipc --isolation --kernel-memory --label --label-file --link
    --link-local-ip --log-driver --log-opt --mac-address --memory --memory-reservation --memory-swap
    --memory-swappiness --mount --name --net --net-alias --network --network-alias --oom-score-adj --pid --pids-limit
    --platform --publish --pull --restart --runtime --security-opt --shm-size --stop-signal --stop-timeout
    --storage-opt --sysctl --tmpfs --ulimit --user --userns --uts --volume --volume-driver --volumes-from --workdir
"""
VALUED = frozenset(_VALUED.split())
SHORT = {
    "-a": "--attach",
    "-c": "--cpu-shares",
    "-e": "--env",
    "-h": "--hostname",
    "-l": "--label",
    "-m": "--memory",
    "-p": "--publish",
    "-u": "--user",
    "-v": "--volume",
    "-w": "--workdir",
}
# How the container is attended: nothing of what the server does.
ATTENDANCE = frozenset(
    ["--rm", "--interactive", "--tty", "--detach", "--quiet", "--sig-proxy", "--help", "-d", "-i", "-t", "-q"]
)
BARE = ATTENDANCE | {
    "--disable-content-trust",
    "--init",
    "--no-healthcheck",
    "--oom-kill-disable",
    "--privileged",
    "--publish-all",
    "--read-only",
    "-P",
}
