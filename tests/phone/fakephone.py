"""A phone's /proc and /sys for programs under qemu-user: 4 small, 3 middle and 1 big Arm core."""

from __future__ import annotations

from pathlib import Path

KINDS = (  # CPUs, part number, highest and lowest kHz, capacity
    (range(4), 0xD05, 1803000, 300000, 240),
    (range(4, 7), 0xD41, 2253000, 500000, 760),
    (range(7, 8), 0xD44, 2802000, 500000, 1024),
)
ZONES = (("BIG", 41000), ("MID", 40500), ("LITTLE", 39800), ("battery", 31200), ("VIRTUAL-SKIN", 33100))
FEATURES = (
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
)


def write(root: Path) -> Path:
    """Make the tree; programs started with ``qemu-aarch64 -L root`` see it instead of this machine's."""

    def put(path: str, content: object) -> None:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{content}\n")

    entries = ""
    for cpus, part, most, least, capacity in KINDS:
        for cpu in cpus:
            entries += (
                f"processor\t: {cpu}\nBogoMIPS\t: 49.15\nFeatures\t: {FEATURES}\nCPU implementer\t: 0x41\n"
                f"CPU architecture: 8\nCPU variant\t: 0x1\nCPU part\t: {part:#05x}\nCPU revision\t: 0\n\n"
            )
            folder = f"sys/devices/system/cpu/cpu{cpu}"
            clocks = {"scaling_cur_freq": least + 100000, "scaling_max_freq": most, "scaling_min_freq": least}
            clocks |= {"cpuinfo_max_freq": most, "cpuinfo_min_freq": least, "scaling_governor": "sched_pixel"}
            for name, value in clocks.items():
                put(f"{folder}/cpufreq/{name}", value)
            put(f"{folder}/cpu_capacity", capacity)
            put(f"{folder}/regs/identification/midr_el1", f"0x{0x410F0000 | part << 4:016x}")
            put(f"{folder}/topology/physical_package_id", 0)
            put(f"{folder}/topology/core_id", cpu)
            put(f"{folder}/topology/core_siblings_list", "0-7")
            put(f"{folder}/topology/core_siblings", "ff")
            put(f"{folder}/topology/thread_siblings_list", cpu)
    put("proc/cpuinfo", f"{entries}Hardware\t: Phone That Is None")
    put("proc/loadavg", "0.50 0.40 0.30 1/2000 4242")
    put(
        "proc/meminfo",
        "MemTotal:        7800000 kB\nMemFree:          400000 kB\nMemAvailable:    3000000 kB",
    )
    for name in ("possible", "present", "online"):
        put(f"sys/devices/system/cpu/{name}", "0-7")
    put("sys/devices/system/cpu/kernel_max", 7)
    for number, (name, value) in enumerate(ZONES):
        put(f"sys/class/thermal/thermal_zone{number}/type", name)
        put(f"sys/class/thermal/thermal_zone{number}/temp", value)
    return root
