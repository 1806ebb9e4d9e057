"""The embedded server's configuration, fitted to the machine. Pure text and numbers; starting it does not belong here.

What was measured for each choice stands in ``docs/decisions/0001-embedded-postgresql.md``.
"""

import os
from pathlib import Path

import psutil

MIB = 1024 * 1024
GIB = 1024 * MIB

#: The sum behind max_connections, on one machine with the in-process executor:
#:   3 runs at once (2 of the daemon, 1 by command) x (3 extract threads x 2 ends + snapshot + 2 locks) = 27
#:     (while dbt builds: up to 4 threads, its own connection and 2 of ours, fewer)
#:   the same 3 runs' event log and run storage, up to 8 each                                           = 24
#:   webserver (pool of 10 + 5 overflow) and daemon (10 threads)                                        = 25
#:   `warehouse` commands, psql, tests                                                                  = 15
#:   reserved for superusers (PostgreSQL's own 3) and headroom                                          =  9
MAX_CONNECTIONS = 100


def _quote(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def server_settings(memory_bytes: int, cores: int, free_bytes: int, shm_bytes: int) -> dict[str, str]:
    """Return the settings that depend on the machine: setting name → value in PostgreSQL's notation.

    Args:
        memory_bytes: the machine's (or container's) memory.
        cores: processors this process may use.
        free_bytes: free space of the disk that holds the data directory.
        shm_bytes: size of /dev/shm, 0 where there is none.
    """
    shared_buffers = min(max(memory_bytes // 16, 64 * MIB), 256 * MIB)
    work_mem = min(max(memory_bytes // 384, 8 * MIB), 64 * MIB)
    maintenance_work_mem = min(max(memory_bytes // 64, 32 * MIB), 256 * MIB)
    max_wal_size = min(max(free_bytes // 6, 512 * MIB), 8 * GIB)
    workers_per_query = min(cores // 2, 4)
    settings = {
        "shared_buffers": f"{shared_buffers // MIB}MB",
        "effective_cache_size": f"{memory_bytes // 2 // MIB}MB",
        "work_mem": f"{work_mem // MIB}MB",
        "maintenance_work_mem": f"{maintenance_work_mem // MIB}MB",
        "max_wal_size": f"{max_wal_size // MIB}MB",
        "min_wal_size": f"{min(max_wal_size // 4, GIB) // MIB}MB",
        "max_worker_processes": str(max(cores, 4)),
        "max_parallel_workers": str(max(cores, 1)),
        "max_parallel_workers_per_gather": str(workers_per_query),
        "max_parallel_maintenance_workers": str(workers_per_query),
    }
    if 0 < shm_bytes < GIB:
        # A container's /dev/shm is 64 MB by default: a parallel hash join would fail with "could not resize
        # shared memory segment". Files in the data directory have no such bound.
        settings["dynamic_shared_memory_type"] = "mmap"
    return settings


FIXED_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": str(MAX_CONNECTIONS),
    "max_locks_per_transaction": "256",  # one lock per monthly partition and its indexes
    "password_encryption": "scram-sha-256",
    # durability: every commit reaches the disk; the bulk of the rows skips the log (minimal) and is synced at commit
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_level": "minimal",
    "max_logical_replication_workers": "0",
    "max_wal_senders": "0",
    "wal_compression": "off",  # the wheel has no lz4, and pglz doubles the time of a load
    "wal_buffers": "64MB",  # 50,000 rows changed, a page each: 1.12 s with 16 MB, 0.87 s with 128 MB (measured)
    # the log's writer keeps up with a bulk change, which would wait for room in those buffers: 0.93 s became 0.74 s
    "wal_writer_delay": "20ms",
    "wal_writer_flush_after": "64MB",
    "checkpoint_timeout": "30min",
    "checkpoint_completion_target": "0.9",
    # planner
    "jit": "off",
    "random_page_cost": "1.1",
    "effective_io_concurrency": "64",
    # housekeeping
    "client_connection_check_interval": "5s",  # the query of a killed client ends, and its locks with it
    "autovacuum_max_workers": "2",
    "autovacuum_naptime": "30s",
    # times
    "timezone": "UTC",
    "log_timezone": "UTC",
    "datestyle": "iso, mdy",
    # log: a file a weekday, overwritten a week later
    "logging_collector": "on",
    "log_filename": "postgresql-%a.log",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_truncate_on_rotation": "on",
    "log_file_mode": "0600",
    "log_line_prefix": "%m [%p] %q%d %a ",
    "log_min_duration_statement": "30s",
    "log_checkpoints": "on",
    "log_lock_waits": "on",
    "log_autovacuum_min_duration": "60s",
}


def machine_memory() -> int:
    """Return the memory in bytes this process may use: the machine's, or its control group's bound if lower."""
    total = int(psutil.virtual_memory().total)
    try:
        bound = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return total
    return min(total, int(bound)) if bound.isdigit() else total


def free_space(path: Path) -> int:
    """Return the free bytes of the file system that holds ``path`` (0 where it cannot be told)."""
    try:
        status = os.statvfs(path)
    except OSError:
        return 0
    return status.f_bavail * status.f_frsize


def _size_of(path: str) -> int:
    try:
        status = os.statvfs(path)
    except OSError:
        return 0
    return status.f_blocks * status.f_frsize


def configuration(*, data: Path, log: Path, hba: Path, port: int, cluster_name: str) -> str:
    """Return the text of postgresql.conf for the embedded server on this machine."""
    settings = FIXED_SETTINGS | server_settings(
        machine_memory(),
        os.cpu_count() or 1,
        free_space(data),
        _size_of("/dev/shm"),  # noqa: S108  the mount, no temp file
    )
    settings |= {
        "port": str(port),
        "cluster_name": cluster_name,
        "log_directory": str(log),
        "hba_file": str(hba),
    }
    lines = [f"{name} = {_quote(value)}" for name, value in settings.items()]
    return "\n".join(["# Written at every start by the product; alter system keeps settings of your own.", *lines, ""])


HBA = """# Written at every start by the product: this machine only, always with the password.
host all all 127.0.0.1/32 scram-sha-256
"""
